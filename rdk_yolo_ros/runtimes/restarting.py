"""RestartingRuntime: opens a runtime that was lost again, in the background, with back-off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import logging
import threading
import time
from typing import Optional

import numpy as np

from rdk_yolo_ros.errors import ModelError, RuntimeLostError
from rdk_yolo_ros.runtimes.base import Runtime, Slot
from rdk_yolo_ros.tensors import TensorInfo

_log = logging.getLogger(__name__)

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0
# Calls under way have so long to return before their runtime is closed under them, and a runtime
# that hangs itself so long to close.
_LEAVING_S, _CLOSING_S = 2.0, 5.0


class RestartingRuntime(Runtime):
    """
    A runtime that is opened again when it is lost.

    When a call raises RuntimeLostError, a thread closes the runtime and opens another, after
    0.5 s at first, after twice as long each further time, 30 s at most; a runtime that held for
    30 s begins with 0.5 s again. Meanwhile `run` and `slot` raise RuntimeLostError at once.
    What is opened then must take and give what the first one did, else it stays lost.

    Attributes:
        restarts: how often it was opened again.
        last_error: why it was lost last, or could not be opened again; None if never.

    Args:
        opener: returns an open runtime, a new one each time.
        first_delay: seconds before the first attempt.
        longest_delay: seconds between two attempts, at most.

    Raises:
        RdkYoloError: what `opener` raises the first time.

    """

    def __init__(self, opener: Callable[[], Runtime], first_delay: float = _FIRST_DELAY_S,
                 longest_delay: float = _LONGEST_DELAY_S) -> None:
        self._opener = opener
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._delay = 0.0
        runtime = opener()
        self.name, self.path = runtime.name, runtime.path
        self.input_hw, self.outputs = runtime.input_hw, runtime.outputs
        self.slots, self.nv12_range = runtime.slots, runtime.nv12_range
        self.metadata = runtime.metadata
        self.usual_timeout, self.longest_call = runtime.usual_timeout, runtime.longest_call
        self.restarts = 0
        self.last_error: Optional[str] = None
        self._changed = threading.Condition()
        self._runtime: Optional[Runtime] = runtime
        self._opened_at = time.monotonic()
        self._users: dict[Runtime, int] = {}
        self._closed = False
        self._gone_for_good = False
        self._reopening: Optional[threading.Thread] = None

    @property
    def state(self) -> str:
        """'running'; 'reopening'; 'lost', for good; or 'closed'."""
        with self._changed:
            if self._closed:
                return 'closed'
            if self._runtime is not None:
                return 'running'
            return 'lost' if self._gone_for_good else 'reopening'

    def run(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Runtime.run."""
        with self._use() as runtime:
            return runtime.run(nv12)

    @contextmanager
    def slot(self) -> Iterator[Slot]:
        """See Runtime.slot."""
        with self._use() as runtime, runtime.slot() as slot:
            yield slot

    def lose(self, error: Exception) -> None:
        """
        Treat the runtime as lost, as if a call had raised `error`.

        For whoever sees that calls do not come back, which the runtime itself does not notice.
        """
        with self._changed:
            runtime = self._runtime
        if runtime is not None:
            self._lose(runtime, error)

    def describe(self) -> str:
        """See Runtime.describe."""
        with self._changed:
            runtime = self._runtime
        return super().describe() if runtime is None else runtime.describe()

    def close(self) -> None:
        """See Runtime.close."""
        with self._changed:
            self._closed = True
            runtime, self._runtime = self._runtime, None
            reopening = self._reopening
            self._changed.notify_all()
        if reopening is not None:
            # An `opener` at work is not waited for: the thread closes what it returns.
            reopening.join(0.1)
        if runtime is not None:
            runtime.close()

    @contextmanager
    def _use(self) -> Iterator[Runtime]:
        """Hold the runtime, so that it is not closed under a call; take note if it is lost."""
        with self._changed:
            runtime = self._runtime
            if runtime is None:
                if self._closed:
                    raise ModelError(f'{self.path}: the runtime is closed')
                raise RuntimeLostError(
                    f'the {self.name} runtime is being opened again ({self.path})'
                    if not self._gone_for_good else f'{self.path}: {self.last_error}')
            self._users[runtime] = self._users.get(runtime, 0) + 1
        try:
            yield runtime
        except RuntimeLostError as error:
            self._lose(runtime, error)
            raise
        finally:
            with self._changed:
                self._users[runtime] -= 1
                if not self._users[runtime]:
                    del self._users[runtime]
                    self._changed.notify_all()

    def _lose(self, runtime: Runtime, error: Exception) -> None:
        with self._changed:
            if runtime is not self._runtime:
                return  # another call noticed it first
            self._runtime = None
            self.last_error = ' '.join(str(error).split())
            held = time.monotonic() - self._opened_at
            self._delay = self._first_delay if not self._delay or held >= self._longest_delay \
                else min(2 * self._delay, self._longest_delay)
            self._reopening = threading.Thread(
                target=self._reopen, args=(runtime,), name='runtime-reopening', daemon=True)
            self._reopening.start()
        _log.error('%s: the %s runtime is lost and will be opened again in %.3g s: %s',
                   self.path, self.name, self._delay, self.last_error)

    def _reopen(self, lost: Runtime) -> None:
        """Close what was lost, then try to open it until that works; one thread."""
        begin = time.monotonic()
        self._let_go(lost)
        del lost
        while self._may_go_on(begin + self._delay):
            try:
                runtime = self._opener()
            except Exception as error:  # nothing that goes wrong here is seen by a caller
                self._note(error)
                begin = time.monotonic()
                self._delay = min(2 * self._delay, self._longest_delay)
                continue
            difference = self._difference(runtime)
            with self._changed:
                if difference:
                    self._gone_for_good = True
                    self.last_error = difference
                elif not self._closed:
                    self._runtime, self._opened_at = runtime, time.monotonic()
                    self.restarts += 1
            if difference:
                _log.error('%s: %s', self.path, difference)
            elif self.state == 'running':
                _log.warning('%s: the %s runtime is back (restart %d)', self.path, self.name,
                             self.restarts)
                return
            _close(runtime)
            return

    def _note(self, error: Exception) -> None:
        text = f'{type(error).__name__}: ' + ' '.join(str(error).split())
        with self._changed:
            told, self.last_error = self.last_error == text, text
        if not told:
            _log.error('%s: the %s runtime cannot be opened again yet: %s', self.path, self.name,
                       text)

    def _may_go_on(self, when: float) -> bool:
        """Wait until `time.monotonic()` is `when`; return False if it is closed meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, max(0.0, when - time.monotonic()))
            return not self._closed

    def _let_go(self, runtime: Runtime) -> None:
        """Close a runtime when its last user has left, or has had the time to."""
        with self._changed:
            self._changed.wait_for(lambda: runtime not in self._users, _LEAVING_S)
        closing = threading.Thread(target=_close, args=(runtime,), name='runtime-closing',
                                   daemon=True)
        closing.start()
        closing.join(_CLOSING_S)
        if closing.is_alive():
            _log.error('%s: the lost %s runtime does not close; it is left behind', self.path,
                       self.name)

    def _difference(self, runtime: Runtime) -> str:
        """Return in which way a runtime is not what the first one was, or nothing."""
        faults = [f'{what} was {before} and is {now}' for what, before, now in (
            ('runtime', self.name, runtime.name),
            ('input', self.input_hw, runtime.input_hw),
            ('NV12 range', self.nv12_range, runtime.nv12_range),
            ('number of outputs', len(self.outputs), len(runtime.outputs)),
            *(('output', _shown(before), _shown(now))
              for before, now in zip(self.outputs, runtime.outputs))) if before != now]
        faults += [f'output {now.name} has other scales than before'
                   for before, now in zip(self.outputs, runtime.outputs)
                   if not _dequantize_alike(before, now)]
        return (f'the model changed while the runtime was lost ({faults[0]}); start again to '
                'use it as it is now') if faults else ''


def _shown(info: TensorInfo) -> str:
    return f'{info.name} {info.dtype.name} {info.shape}'


def _dequantize_alike(one: TensorInfo, other: TensorInfo) -> bool:
    return one.quantize_axis == other.quantize_axis and all(
        np.array_equal(a, b) if a is not None and b is not None else a is b
        for a, b in ((one.scale, other.scale), (one.zero_point, other.zero_point)))


def _close(runtime: Runtime) -> None:
    try:
        runtime.close()
    except Exception as error:  # what is lost may fail in any way; there is nobody to tell
        _log.warning('%s: closing the %s runtime failed: %s', runtime.path, runtime.name, error)
