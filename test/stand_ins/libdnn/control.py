"""StandIn: the stand-in library's controls, for tests in the same process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import ctypes as c
from pathlib import Path
from typing import Optional

import numpy as np
from stand_ins.libdnn.model_file import Tensor

# f(y, y_pitch, uv, uv_pitch, height, width, outputs)
_NETWORK = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_int32, c.c_void_p, c.c_int32, c.c_int32,
                       c.c_int32, c.POINTER(c.c_void_p))


class Counts(c.Structure):
    """What the library has done since it was reset, and what is live in it."""

    _fields_ = [(name, c.c_int64 if name == 'live_bytes' else c.c_int32) for name in (
        'live_models', 'live_tasks', 'running', 'live_blocks', 'live_bytes', 'tasks',
        'completed', 'cleans', 'invalidates', 'writes_to_freed', 'misuse', 'most_tasks')]

    @property
    def live(self) -> tuple[int, ...]:
        """Models, tasks, tasks on a worker, memory blocks."""
        return self.live_models, self.live_tasks, self.running, self.live_blocks


class _LayoutEntry(c.Structure):
    _fields_ = [('name', c.c_char_p), ('number', c.c_uint64)]


class StandIn:
    """
    The library's controls.

    Args:
        library: the compiled library; `RDK_YOLO_LIBDNN` must name the same file.

    """

    def __init__(self, library: Path) -> None:
        """Load the library, or find it loaded."""
        self.library = Path(library)
        self._lib = c.CDLL(str(library))
        self._network: Optional[Callable] = None

    def layout(self) -> dict[str, int]:
        """Return sizes, {structure: bytes}, and offsets, {structure.field: bytes}."""
        entries = (_LayoutEntry * 1000).in_dll(self._lib, 'stand_in_layout')
        result = {}
        for entry in entries:
            if entry.name is None:
                break
            result[entry.name.decode()] = entry.number
        return result

    def reset(self) -> None:
        """Forget faults and network, start the counters anew."""
        self._lib.stand_in_reset()
        self.set_network(None)

    def counts(self) -> Counts:
        """Return the counters as they are now."""
        counts = Counts()
        self._lib.stand_in_counts(c.byref(counts))
        return counts

    def fail(self, function: str, first: int = 1, count: int = 1, code: int = -1) -> None:
        """
        Let calls fail.

        Args:
            function: a function of the interface, 'task' for tasks that fail while they run, or
                'hang' for tasks that do not end before they are released.
            first: which call is the first to fail, 1 being the next.
            count: how many fail, -1 for all that follow.
            code: what they return.

        """
        assert self._lib.stand_in_fail(function.encode(), first, count, code) == 0

    def last_control(self) -> tuple[int, int]:
        """Return the BPU core and the priority of the last task."""
        numbers = (c.c_int32 * 8)()
        self._lib.stand_in_last_control(numbers)
        return numbers[0], numbers[2]

    def set_network(self, network: Optional[Callable[[np.ndarray], Sequence[np.ndarray]]],
                    outputs: Sequence[Tensor] = ()) -> None:
        """
        Set what computes the outputs of models that are not recorded; None for nothing.

        Args:
            network: takes uint8 (H * 3 / 2, W) NV12 as the BPU sees it, returns the outputs.
            outputs: their description.

        """
        if network is None:
            self._lib.stand_in_set_network(_NETWORK())
            self._network = None
            return

        def call(y, y_pitch, uv, uv_pitch, height, width, places):
            try:
                nv12 = np.concatenate([_rows(y, y_pitch, height)[:, :width],
                                       _rows(uv, uv_pitch, height // 2)[:, :width]])
                for tensor, place, array in zip(outputs, places, network(nv12)):
                    assert array.shape == tuple(tensor.shape)
                    memory = _rows(place, tensor.nbytes, 1).view(tensor.kind)
                    tensor.put(memory.reshape(tensor.in_memory), array)
            except Exception:  # reported to the caller as a task that failed
                import traceback
                traceback.print_exc()
                return 1
            return 0

        self._network = _NETWORK(call)  # kept, as the library only has its address
        self._lib.stand_in_set_network(self._network)


def _rows(address: int, pitch: int, count: int) -> np.ndarray:
    """Return memory as uint8 (count, pitch)."""
    return np.frombuffer((c.c_uint8 * (pitch * count)).from_address(address),
                         np.uint8).reshape(count, pitch)
