"""Worker: the parent's side of one worker process."""

from __future__ import annotations

from contextlib import suppress
import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from rdk_yolo_ros.errors import ModelError, RuntimeLostError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.slot_memory import SlotMemory
from rdk_yolo_ros.runtimes.worker_messages import receive, send

# A process that was killed is gone at once unless it hangs in a driver.
DIE_S = 2.0

# Given the parent's own search path, and not the current folder, where a file that is named like
# a module of Python's would be taken for it.
_BOOT = ('import sys; sys.path[:] = sys.argv[3:]; from rdk_yolo_ros.runtimes.worker_main '
         'import main; main(int(sys.argv[1]), int(sys.argv[2]))')


class Worker:
    """
    One worker process; its methods are called from one thread at a time, `end` from any.

    Raises:
        OSError: the system gives no more processes, files or memory.

    """

    def __init__(self, hello: dict[str, Any]) -> None:
        """Start the process; `described` waits for it."""
        self.hello = hello
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            try:
                # A session of its own, so that no Ctrl-C reaches it before it can say so. What the
                # library prints must not get between the lines of a parent's own output.
                self._process = subprocess.Popen(
                    [sys.executable, '-c', _BOOT, str(theirs.fileno()), str(os.getpid()),
                     *(str(path) or os.getcwd() for path in sys.path)],
                    stdin=subprocess.DEVNULL, stdout=2, pass_fds=[theirs.fileno()],
                    start_new_session=True)
            except BaseException:
                self._socket.close()
                raise
        self.pid = self._process.pid
        with suppress(OSError):  # it ended already: `described` says so
            send(self._socket, json.dumps(hello).encode())

    def described(self, deadline: float) -> dict[str, Any]:
        """Return what the worker says of its model; see `worker_main.main`."""
        answer = json.loads(self._receive(deadline))
        if 'error' in answer:
            kind = RuntimeUnavailableError if answer['error'] == 'unavailable' else ModelError
            raise kind(answer['message'])
        return answer

    def share(self, memory: SlotMemory) -> None:
        """Give it the slots' memory; OSError where it ended."""
        self._socket.settimeout(DIE_S)
        socket.send_fds(self._socket, [b'm'], [memory.fd])

    def infer(self, slot: int, timeout: float) -> str:
        """
        Run on a slot; '' or what failed.

        Raises:
            TimeoutError: no answer came in time.
            OSError, EOFError: the worker is gone.

        """
        self._socket.settimeout(timeout)
        send(self._socket, slot.to_bytes(4, 'little'))
        return self._receive(time.monotonic() + timeout).decode()

    def leave(self) -> None:
        """Tell it that there is no more work; a call that waits for it fails."""
        with suppress(OSError):  # it is gone already
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self, patience: float = 0.0) -> str:
        """
        Wait for its end, kill it after `patience` seconds, and return how it ended, in words.

        Raises:
            RuntimeLostError: it cannot be killed, which a driver that hangs may cause.

        """
        self.leave()
        try:
            self._process.wait(max(0.0, patience))
        except subprocess.TimeoutExpired:
            self._process.kill()
            try:
                self._process.wait(DIE_S)
            except subprocess.TimeoutExpired:
                raise RuntimeLostError(f'worker {self.pid} hangs in the BPU driver and cannot be '
                                       'ended; restart the board') from None
        self._socket.close()
        code = self._process.returncode
        if code >= 0:
            return f'exit code {code}'
        try:
            return f'signal {signal.Signals(-code).name}'
        except ValueError:
            return f'signal {-code}'

    def _receive(self, deadline: float) -> bytes:
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        message = receive(self._socket)
        if message is None:
            raise EOFError
        return message
