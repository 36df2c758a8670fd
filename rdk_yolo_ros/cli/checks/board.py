"""Which board this is, and reading its files; a root folder stands for / in tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
import re
from typing import Optional

# D-Robotics' documentation and samples read the board's name from these; never from soc_uid,
# which tells one board from another. The folder is socinfo on X3 and X5, boardinfo on S100, S600.
_NAMES = ('proc/device-tree/model', 'sys/firmware/devicetree/base/model')
_CHIP = ('sys/class/boardinfo/soc_name', 'sys/class/socinfo/soc_name')
_KIND = ('sys/class/boardinfo/board_type', 'sys/class/socinfo/board_id',
         'sys/class/socinfo/som_name')
_FAMILIES = ('S600', 'S100', 'X5', 'X3', 'Ultra')
_LONGEST = 4096


@dataclass(frozen=True)
class Board:
    """
    The board, as far as its files tell.

    Attributes:
        model: its name in the device tree.
        chip: the system on chip's name.
        kind: the vendor's number or name of the board's kind.
        family: 'X3', 'X5', 'S100', 'S600', 'Ultra'; None: no RDK that is known here.
        has_bpu: whether the kernel has a BPU.

    """

    model: Optional[str]
    chip: Optional[str]
    kind: Optional[str]
    family: Optional[str]
    has_bpu: bool

    @property
    def is_rdk(self) -> bool:
        """Whether a BPU is to be expected."""
        return self.has_bpu or self.family is not None


def read_board(root: Path = Path('/')) -> Board:
    """Return the board that runs under `root`."""
    model, chip, kind = (first_text(root, *paths) for paths in (_NAMES, _CHIP, _KIND))
    has_bpu = (root / 'sys/devices/system/bpu').is_dir()
    return Board(model, chip, kind, _family(model, chip, kind, has_bpu), has_bpu)


def _family(model: Optional[str], chip: Optional[str], kind: Optional[str],
            has_bpu: bool) -> Optional[str]:
    # A PC's firmware may hold an "X5", too: a name counts beside RDK, D-Robotics or a BPU.
    if not has_bpu and chip is None and not re.search(r'rdk|d-robotics|horizon|hobot', model or '',
                                                      re.IGNORECASE):
        return None
    text = ' '.join(filter(None, (model, chip, kind)))
    for family in _FAMILIES:
        if re.search(rf'(?<![A-Za-z0-9]){family}(?![0-9])', text, re.IGNORECASE):
            return family
    return None


def read_text(path: Path) -> Optional[str]:
    """Return a small file's text, without NULs and outer blanks; None where it cannot be read."""
    try:
        with path.open('rb') as file:
            data = file.read(_LONGEST)
    except OSError:
        return None
    return data.decode('utf-8', 'replace').replace('\0', '').strip() or None


def first_text(root: Path, *paths: str) -> Optional[str]:
    """Return the text of the first of the files that has one."""
    return next((text for text in (read_text(root / path) for path in paths) if text), None)


def read_number(path: Path) -> Optional[int]:
    """Return the whole number in a file, or None."""
    try:
        return int(read_text(path) or '')
    except ValueError:
        return None
