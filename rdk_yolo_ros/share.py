"""Where the package's config/ and models/ are, and how a relative path finds its file."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
from typing import Optional

PACKAGE = 'rdk_yolo_ros'


def share_folders() -> list[Path]:
    """
    Return the folders that hold the package's config/ and models/, best first.

    They are share/rdk_yolo_ros in the sourced ROS workspaces and beside this installation,
    and, in a source checkout, its root.
    """
    prefixes = [Path(p) for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    here = Path(__file__).resolve()
    folders = [prefix / 'share' / PACKAGE for prefix in [*prefixes, *here.parents]]
    checkout = here.parents[1]
    if (checkout / 'package.xml').is_file():
        folders.append(checkout)
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def find_file(value: str, base_dir: Optional[Path] = None) -> Path:
    """
    Return the absolute path of the existing file that `value` means.

    An absolute path is taken as it is. A relative one is looked up in `base_dir` (the folder of
    the file that names it), in that folder's parent, in the current directory, and in
    `share_folders()`.

    Raises:
        FileNotFoundError: saying where it was looked for, as the end of a sentence.

    """
    path = Path(value).expanduser() if value.startswith('~/') else Path(value)
    places = [path.parent] if path.is_absolute() else list(_places(base_dir))
    folder = None
    try:
        for place in places:
            candidate = Path(os.path.abspath(place / path))
            if candidate.is_file():
                return candidate
            if candidate.is_dir():
                folder = folder or candidate
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise FileNotFoundError(f'which is no usable path: {reason}') from None
    if folder is not None:
        raise FileNotFoundError(f'which is the folder {folder}, expected a file')
    looked = '' if path.is_absolute() else ' in ' + ', '.join(str(p) for p in places)
    raise FileNotFoundError(f'expected an existing file: there is none{looked}')


def _places(base_dir: Optional[Path]) -> Iterator[Path]:
    places = [Path.cwd(), *share_folders()]
    if base_dir is not None:
        # The vendor's files say config/coco.list and themselves live in config/.
        places[:0] = [base_dir, base_dir.parent]
    yield from dict.fromkeys(Path(os.path.abspath(place)) for place in places)
