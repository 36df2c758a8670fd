"""ProcessUse: CPU time and memory of this process and those that it started."""

from __future__ import annotations

import os
from pathlib import Path
import time
from typing import Optional

_TICKS = os.sysconf('SC_CLK_TCK') if hasattr(os, 'sysconf') else 100


class ProcessUse:
    """
    Counts the CPU time of this process and its descendants from now on.

    A runtime may work in processes of its own, which belong to its cost.

    Args:
        proc: the folder of the kernel's process files.

    """

    def __init__(self, proc: Path = Path('/proc')) -> None:
        self._proc = proc
        self._began = time.monotonic()
        self._before = self._ticks()

    def cpus(self) -> Optional[float]:
        """Return how many CPUs were busy on average; None where the kernel does not tell."""
        elapsed = time.monotonic() - self._began
        now = self._ticks()
        if not now or elapsed <= 0:
            return None
        # One that has ended in between took its count with it.
        used = sum(ticks - self._before.get(pid, 0) for pid, ticks in now.items())
        return used / _TICKS / elapsed

    def memory(self) -> Optional[int]:
        """Return the memory in use, bytes; what processes share counts once where that is told."""
        total = 0
        for pid in family(self._proc):
            size = _size(self._proc / str(pid))
            total += size or 0
        return total or None

    def _ticks(self) -> dict[int, int]:
        return {pid: ticks for pid in family(self._proc)
                if (ticks := _cpu_ticks(self._proc / str(pid))) is not None}


def family(proc: Path = Path('/proc'), own: Optional[int] = None) -> list[int]:
    """Return the process and its descendants."""
    own = os.getpid() if own is None else own
    parents = {}
    for folder in proc.iterdir() if proc.is_dir() else ():
        if folder.name.isdecimal() and (fields := _stat(folder)) is not None:
            parents[int(folder.name)] = int(fields[1])
    members = [own] if own in parents else []
    for member in members:  # grows as it is read
        members += [pid for pid, parent in parents.items() if parent == member]
    return members


def _stat(folder: Path) -> Optional[list[str]]:
    """Return the fields of a stat file from the state on; proc(5) numbers it 3."""
    try:
        text = (folder / 'stat').read_text('utf-8', 'replace')
    except OSError:
        return None
    # The name, in brackets, may hold blanks and brackets of its own.
    fields = text.rpartition(')')[2].split()
    return fields if len(fields) > 13 else None


def _cpu_ticks(folder: Path) -> Optional[int]:
    fields = _stat(folder)
    return None if fields is None else int(fields[11]) + int(fields[12])


def _size(folder: Path) -> Optional[int]:
    for name, key in (('smaps_rollup', 'Pss:'), ('status', 'VmRSS:')):
        try:
            text = (folder / name).read_text('utf-8', 'replace')
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return None
