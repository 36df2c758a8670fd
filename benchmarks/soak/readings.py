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
        shared: the part of that in shared memory: DDS' segments, its own and those it reads.
        heap: the anonymous part: what the process allocated. The rest is libraries.
        threads: how many it has.
        descriptors: how many files and sockets it has open.
        cpu_s: the processor time that it has used, seconds.

    """

    resident: int
    shared: int
    heap: int
    threads: int
    descriptors: int
    cpu_s: float

    @property
    def own(self) -> int:
        """The resident set without shared memory, bytes."""
        return self.resident - self.shared


def read(pid: int) -> Reading:
    """
    Return a process's state now.

    smaps_rollup counts page by page; statm and status show counters that the kernel brings up to
    date in batches, too coarse for an hour's slope. Only the shared part is theirs: it changes in
    steps of an image, if at all.

    Raises:
        OSError: there is no such process, or it may not be looked at.

    """
    folder = Path(f'/proc/{pid}')
    sizes = {}
    for file in ('smaps_rollup', 'status'):
        for line in (folder / file).read_text('utf-8', 'replace').splitlines():
            words = line.split()
            if words[-1:] == ['kB']:
                sizes[words[0]] = int(words[1]) * 1024
    # From behind the name, which may hold blanks and brackets, on; proc(5) counts from the state.
    fields = (folder / 'stat').read_text('utf-8', 'replace').rpartition(')')[2].split()
    return Reading(sizes['Rss:'], sizes['RssShmem:'], sizes['Anonymous:'], int(fields[17]),
                   len(os.listdir(folder / 'fd')), (int(fields[11]) + int(fields[12])) / _TICKS)
