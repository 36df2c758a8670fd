"""Child processes of the demo, and the part of the network that they may use."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
import fcntl
import os
from pathlib import Path
import signal
import subprocess
import tempfile
import threading
import time
from typing import IO

# Who has set one of these has chosen how Fast DDS transports images.
DDS_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE',
                 'FASTDDS_BUILTIN_TRANSPORTS')


def loopback_environment(root: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep DDS on this machine, with room for large images."""
    humble = environ.get('ROS_DISTRO') == 'humble'
    fast_dds = environ.get('RMW_IMPLEMENTATION', 'rmw_fastrtps_cpp').startswith('rmw_fastrtps')
    if not fast_dds or any(environ.get(name) for name in DDS_VARIABLES):
        return ({'ROS_LOCALHOST_ONLY': '1'} if humble else
                {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'})
    folder = root / 'config' / 'dds'
    # Both settings leave the transports to the profile.
    return {DDS_VARIABLES[0]: str(folder / 'loopback.xml'),
            DDS_VARIABLES[1]: str(folder / 'fast_dds_3' / 'loopback.xml'),
            **({'ROS_LOCALHOST_ONLY': '0'} if humble else
               {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SYSTEM_DEFAULT'})}


def lock_domain() -> tuple[int, IO[str]]:
    """
    Return a ROS domain that no other demo or test on this machine uses, and its lock.

    Raises:
        RuntimeError: all of them are in use.

    """
    # DDS' ports for these stay clear of the ephemeral ones; people use the low ones by hand.
    for domain in [*range(215, 232), *range(101, 0, -1)]:
        try:
            # For reading alone, as another user's file can be opened, too.
            lock = os.fdopen(os.open(Path(tempfile.gettempdir()) / f'ros_domain_{domain}.lock',
                                     os.O_RDONLY | os.O_CREAT, 0o666))
        except PermissionError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return domain, lock
        except OSError:
            lock.close()
    raise RuntimeError('every ROS domain is in use by a demo or a test')


class Child:
    """A process that runs a node; what it writes is kept, the last lines of it."""

    def __init__(self, name: str, argv: Sequence[str], environ: Mapping[str, str],
                 cwd: Path) -> None:
        """Start the process."""
        self.name = name
        self._lines: collections.deque[str] = collections.deque(maxlen=20)
        # In a session of its own: Ctrl-C in the terminal reaches the demo alone, which then ends
        # its children in order.
        self._process = subprocess.Popen(
            argv, cwd=cwd, env=dict(environ), stdin=subprocess.DEVNULL, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace')
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        return self._process.poll()

    def last_lines(self) -> list[str]:
        """Return what the process wrote last."""
        if self.exit_code() is not None:
            self._reader.join(0.5)
        return list(self._lines)

    def send(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self.exit_code() is None:
            self._process.send_signal(number)

    def wait(self, until: float) -> bool:
        """Wait until `time.monotonic()` is `until`; return whether the process has ended."""
        try:
            self._process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.append(line.rstrip('\n'))


def interrupt(children: Sequence[Child]) -> None:
    """Ask processes to end."""
    for child in children:
        child.send(signal.SIGINT)


def end(children: Sequence[Child], limit: float) -> None:
    """Wait `limit` seconds for processes to end, then end them by force."""
    until = time.monotonic() + limit
    for child in children:
        if not child.wait(until):
            child.send(signal.SIGKILL)
            child.wait(time.monotonic() + 1.0)
