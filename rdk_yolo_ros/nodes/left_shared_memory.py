"""What killed processes left in shared memory: found, and removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
import re
import time

# Fast DDS names a process' segment by 16 random digits, and locks the file of that name with _el
# behind it for as long as the process lives; Fast DDS 2 begins with fastrtps, 3 with fastdds.
# Its own `fastdds shm clean` goes by the same lock.
_LOCK = re.compile(r'((?:fastrtps|fastdds)_[0-9a-f]{16})_el')
# Between making that file and locking it a process needs a moment.
_LEAST_AGE_S = 10.0


def remove_left_segments(folder: Path = Path('/dev/shm')) -> int:
    """
    Remove the Fast DDS segments of this user's processes that ended without removing them.

    SIGKILL and crashes leave them: 17 MB each with this package's profile, until the machine is
    started again. Readers that still have one mapped keep it. Nothing is done about a segment
    whose process lives, or may only just have begun, and nothing is raised.

    Returns:
        The bytes that were freed.

    """
    freed = 0
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
        for name in names:
            match = _LOCK.fullmatch(name)
            if match is not None:
                with contextlib.suppress(OSError):
                    freed += _remove(folder / match.group(1), folder / name)
    return freed


def _remove(segment: Path, lock: Path) -> int:
    descriptor = os.open(lock, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        state = os.fstat(descriptor)
        if state.st_uid != os.getuid() or time.time() - state.st_mtime < _LEAST_AGE_S:
            return 0
        # Fails where the process lives.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = 0
        with contextlib.suppress(FileNotFoundError):
            size = segment.lstat().st_size
            segment.unlink()
        lock.unlink()
        return size
    finally:
        os.close(descriptor)
