"""The cases and their bars, and how one of them is measured."""

from __future__ import annotations

from collections.abc import Callable
import ctypes
from dataclasses import dataclass
import tracemalloc
from typing import Optional

import numpy as np

from benchmarks.decode_bench.board import BoardLoop
from benchmarks.decode_bench.frames import make_heads, model_outputs
from benchmarks.decode_bench.plain import plain_decode
from benchmarks.timing import interleaved
from rdk_yolo_ros.decode import DecodeOptions, make_decoder
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.letterbox import Letterbox

OBJECTS = (0, 10, 20, 50, 300)
SCORE, IOU, LIMIT = 0.25, 0.7, 300
# Enough turns for a p99, as long as that does not take minutes.
_MOST_TURNS, _LEAST_TURNS, _SECONDS = 500, 30, 6.0


@dataclass(frozen=True)
class Case:
    """
    One kind of model, with the most that our time may be of another way's.

    Attributes:
        name, task, class_num, input_hw: the model.
        masks: whether the masks' label image is made, too; the C++ loop has none.
        plain_bars, board_bars: up to how many objects each bar holds, ascending, and the bar.
        memory_bar: up to how many objects, and most temporary memory of a frame, bytes.

    """

    name: str
    task: str
    class_num: int
    input_hw: tuple[int, int] = (640, 640)
    masks: bool = False
    plain_bars: tuple[tuple[int, float], ...] = ()
    board_bars: tuple[tuple[int, float], ...] = ()
    memory_bar: Optional[tuple[int, int]] = None


CASES = (
    Case('detect-80', 'detect', 80, plain_bars=((10, 0.25), (50, 0.3)),
         board_bars=((20, 1.0), (50, 1.2)), memory_bar=(300, 2_000_000)),
    Case('segment-80, no masks', 'segment', 80, board_bars=((20, 1.0), (50, 1.2))),
    Case('segment-80, masks', 'segment', 80, masks=True, plain_bars=((300, 0.2),),
         memory_bar=(50, 8_000_000)),
    Case('pose-1', 'pose', 1, board_bars=((300, 3.0),), memory_bar=(300, 2_000_000)),
    Case('obb-15', 'obb', 15, (1024, 1024)),
)


@dataclass(frozen=True)
class Measured:
    """
    One case at one number of objects.

    Attributes:
        case, objects: what was decoded.
        instances: how many came out.
        seconds: float64 (turns,) by way: 'ours', 'plain' and, without masks, 'board'.
        peak: most temporary memory of one of our frames, its result included, bytes.

    """

    case: Case
    objects: int
    instances: int
    seconds: dict[str, np.ndarray]
    peak: int

    def ratio(self, way: str) -> Optional[float]:
        """Return our part of another way's time: the median over the turns, or None."""
        if way not in self.seconds:
            return None
        # Turn by turn, so that a slow spell of the machine cancels out.
        return float(np.median(self.seconds['ours'] / self.seconds[way]))

    def bar(self, way: str) -> Optional[float]:
        """Return the most that `ratio` may be, or None."""
        bars = self.case.plain_bars if way == 'plain' else self.case.board_bars
        return next((bar for most, bar in bars if self.objects <= most), None)

    @property
    def memory_bar(self) -> Optional[int]:
        """Return the most that `peak` may be, or None."""
        if self.case.memory_bar is None or self.objects > self.case.memory_bar[0]:
            return None
        return self.case.memory_bar[1]

    @property
    def missed(self) -> list[str]:
        """Return what is over its bar: 'plain', 'board', 'memory'."""
        found = [way for way in ('plain', 'board')
                 if (ratio := self.ratio(way)) is not None
                 and (bar := self.bar(way)) is not None and ratio > bar]
        if self.memory_bar is not None and self.peak > self.memory_bar:
            found.append('memory')
        return found


class Frame:
    """
    One frame of a case, and the ways to decode it.

    Attributes:
        ways: what is timed, by name.

    """

    def __init__(self, case: Case, objects: int, library: ctypes.CDLL) -> None:
        """Plant the objects and make ready what a node makes once."""
        self.case = case
        heads = make_heads(case.task, case.class_num, case.input_hw, objects)
        letterbox = Letterbox.identity(case.input_hw)
        self.ways: dict[str, Callable[[], object]] = {}
        # Without masks, segment is detect to the two others.
        task = 'detect' if case.task == 'segment' and not case.masks else case.task
        infos, arrays = model_outputs(heads, case.task)
        decoder = make_decoder(
            identify_heads(infos, case.input_hw, task=case.task),
            DecodeOptions(score_threshold=SCORE, nms_threshold=IOU, max_detections=LIMIT))

        def ours():
            found = decoder(arrays, letterbox, extras=case.masks or case.task != 'segment')
            return found, found.masks.to_label_image(*case.input_hw) if case.masks else None
        self.ways['ours'] = ours
        self.ways['plain'] = lambda: plain_decode(heads, task, SCORE, IOU, LIMIT)
        if not case.masks:
            self._board = BoardLoop(library, task, heads, letterbox, SCORE, IOU, LIMIT)
            self.ways['board'] = self._board

    def results(self) -> dict[str, list[np.ndarray]]:
        """Return each way's boxes, scores, class ids and what the task adds, alike in form."""
        results = {'plain': self.ways['plain']()}
        boxes = results['plain'][0]
        if self.case.task != 'obb':
            np.clip(boxes, 0, np.tile(self.case.input_hw[::-1], 2), out=boxes)
        if 'board' in self.ways:
            results['board'] = self._board.result()
        found, labels = self.ways['ours']()
        added = [part for part in (found.keypoints, found.angles, labels) if part is not None]
        results['ours'] = [found.boxes, found.scores, found.class_ids, *added]
        if found.angles is not None:  # x1 y1 x2 y2 of the box before it is turned
            low, high = found.boxes[:, :2], found.boxes[:, 2:]
            results['ours'][0] = np.concatenate([(low + high) / 2, high - low], 1)
        if self.case.task == 'obb':
            for parts in results.values():
                # A turn by 180 degrees, or by 90 with the sides exchanged, is the same box.
                parts[:] = [_outline(parts[0], parts[3]), parts[1], parts[2]]
        return results


def measure(case: Case, objects: int, library: ctypes.CDLL) -> Measured:
    """
    Check that the ways agree, then time them in turns.

    Raises:
        SystemExit: two ways found different things.

    """
    frame = Frame(case, objects, library)
    results = frame.results()
    for name, parts in results.items():
        difference = disagreement(parts, results['plain'], case.masks)
        if difference:
            raise SystemExit(f'decode benchmark: {case.name} with {objects} objects: {name} and '
                             f'plain disagree: {difference}')
    once = sum(seconds.min() for seconds in interleaved(frame.ways, rounds=3).values())
    seconds = interleaved(frame.ways, int(np.clip(_SECONDS / once, _LEAST_TURNS, _MOST_TURNS)))
    return Measured(case, objects, len(results['plain'][0]), seconds,
                    _peak_memory(frame.ways['ours']))


def disagreement(parts: list[np.ndarray], others: list[np.ndarray], masks: bool) -> str:
    """Return how two ways' results differ by more than rounding, or nothing."""
    if len(parts[0]) != len(others[0]):
        return f'{len(parts[0])} and {len(others[0])} instances'
    if masks:
        differing = (parts[3] != others[3]).mean()
        if differing > 1e-3:
            return f'{differing:.2%} of the label image'
        parts, others = parts[:3], others[:3]
    names = ('boxes', 'scores', 'class ids', 'key points')
    for name, one, other, tolerance in zip(names, parts, others, (0.05, 1e-5, 0, 0.05)):
        if not np.allclose(one, other, rtol=1e-4 if name == 'boxes' else 0, atol=tolerance):
            return f'{name} by up to {np.abs(one - other).max():g}'
    return ''


def _outline(boxes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return (N, 4): centre, and how far a turned box reaches across and down."""
    cosine, sine = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    along, across = boxes[:, 2], boxes[:, 3]
    return np.stack([boxes[:, 0], boxes[:, 1], along * cosine + across * sine,
                     along * sine + across * cosine], 1)


def _peak_memory(way: Callable[[], object]) -> int:
    """Return the most that one call holds at a time, its result included, bytes."""
    tracemalloc.start()
    try:
        way()  # what is made once and kept is no frame's
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        way()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
