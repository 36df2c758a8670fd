"""What the kernel knows of a process: memory, threads, descriptors, processor time."""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path

_TICKS = os.sysconf('SC_CLK_TCK')


@dataclass(frozen=True)
class Reading:
    """
    One process at one moment.

    Attributes:
        resident: its resident set, bytes; pages that it shares with others count in full.
        heap: the anonymous part of that: what the process allocated. The rest is libraries and
            DDS' shared memory.
        threads: how many it has.
        descriptors: how many files and sockets it has open.
        cpu_s: the processor time that it has used, seconds.

    """

    resident: int
    heap: int
    threads: int
    descriptors: int
    cpu_s: float


def read(pid: int) -> Reading:
    """
    Return a process's state now.

    smaps_rollup counts page by page; statm and status show counters that the kernel brings up to
    date in batches, which on an hour's slope can be told from nothing only with luck.

    Raises:
        OSError: there is no such process, or it may not be looked at.

    """
    folder = Path(f'/proc/{pid}')
    sizes = {}
    for line in (folder / 'smaps_rollup').read_text('ascii').splitlines()[1:]:
        name, size, _ = line.split()
        sizes[name] = int(size) * 1024
    # From behind the name, which may hold blanks and brackets, on; proc(5) counts from the state.
    fields = (folder / 'stat').read_text('utf-8', 'replace').rpartition(')')[2].split()
    return Reading(sizes['Rss:'], sizes['Anonymous:'], int(fields[17]),
                   len(os.listdir(folder / 'fd')), (int(fields[11]) + int(fields[12])) / _TICKS)
