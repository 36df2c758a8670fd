"""Candidates: the few anchors whose class score passes the threshold, found before decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import NamedTuple, Optional, Protocol

import numpy as np

from rdk_yolo_ros.decode.cells import (
    Channels,
    Limit,
    cells_above,
    head_values,
    stored_limit,
)
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.head_layout import HeadLayout

# Upstream lets so many candidates into non-maximum suppression (Ultralytics' max_nms).
MAX_CANDIDATES = 30000
_FARTHEST = np.float32(1e18)
_BOOL = np.dtype(bool)


@dataclass(eq=False, slots=True)
class Candidates:
    """
    N instances before suppression.

    Attributes:
        anchors: intp (N,), index of the anchor point or of the table's row.
        scores: float32 (N,).
        class_ids: int32 (N,).
        boxes: float32 (N, 4), x1 y1 x2 y2 in model-input pixels.
        extra: float32 (N, channels), the extra heads' real values; no channels where they are
            not wanted.

    """

    anchors: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    boxes: np.ndarray
    extra: np.ndarray

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.anchors)

    def take(self, index: np.ndarray) -> Candidates:
        """Return the candidates that an integer or boolean array selects."""
        if index.dtype == _BOOL:
            index = index.nonzero()[0]
        # Twice as fast as indexing on arrays of this size.
        return Candidates(self.anchors.take(index), self.scores.take(index),
                          self.class_ids.take(index), self.boxes.take(index, axis=0),
                          self.extra.take(index, axis=0))

    def finite(self) -> Candidates:
        """
        Return the candidates whose boxes and scores are numbers: a broken model's may not be.

        A box that is 10^18 pixels away is no box either, and would overflow further on.
        """
        # One number tells whether there is a NaN or an infinity anywhere, or nearly one.
        numbers = self.boxes.reshape(-1)
        if math.isfinite(numbers.dot(numbers) + self.scores.dot(self.scores)):
            return self
        # Written so that NaN fails, too.
        return self.take((np.abs(self.boxes) < _FARTHEST).all(axis=1) & np.isfinite(self.scores))

    def of_classes(self, classes: Optional[Sequence[int]]) -> Candidates:
        """Return the candidates of these classes; None for all."""
        return self if classes is None else self.take(np.isin(self.class_ids, classes))

    def best(self, limit: int) -> Candidates:
        """Return the best candidates, best first, the earlier one first where scores are equal."""
        return self.take(np.argsort(-self.scores, kind='stable')[:limit])


class Part(NamedTuple):
    """The channels of one level's cells, or of a table's rows."""

    classes: Channels
    boxes: Channels
    extra: Optional[Channels]


class Source(Protocol):
    """What the candidates' numbers mean: `decode.levels` and `decode.tables` have one each."""

    @property
    def parts(self) -> Sequence[Part]:
        """The levels, or the table."""

    @property
    def firsts(self) -> Sequence[int]:
        """The index of each part's first anchor, and the number of anchors at the end."""

    def threshold(self, score: float) -> float:
        """Return the class channels' number that has this score."""

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return the scores of the class channels' numbers, float32 (n,)."""

    def boxes(self, values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Return float32 (n, 4), x1 y1 x2 y2, of the box channels' numbers (n, channels)."""


# Anchors, real numbers, class ids, and the cells of each part.
_Hits = tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]


class CandidateFinder:
    """
    Finds the anchors whose best class passes the threshold, in the anchors' order.

    It holds what depends on the layout and the options alone.
    """

    def __init__(self, layout: HeadLayout, options: DecodeOptions, source: Source) -> None:
        """Work out the thresholds in the class channels' own numbers."""
        self._layout = layout
        self._source = source
        self._classes = options.classes
        # In real numbers, one or one for each class; then in those of each part.
        self._threshold: Limit = source.threshold(options.score_threshold)
        if options.score_thresholds:
            self._threshold = np.full(layout.class_num, self._threshold, np.float64)
            for class_id, score in options.score_thresholds.items():
                self._threshold[class_id] = source.threshold(score)
        self._limits = [stored_limit(part.classes, self._threshold) for part in source.parts]
        self._class_channels = [part.classes for part in source.parts]
        self._boxes = [part.boxes for part in source.parts]
        self._extra = [part.extra for part in source.parts if part.extra is not None]
        # Where the only class's numbers mean the same in every part they are searched together.
        self._one_class = layout.class_num == 1 and all(
            part.classes.info.dtype == np.float32 and part.classes.info.scale is None
            for part in source.parts)
        if self._one_class:
            # An array of one number: numpy would make one of a plain number in each frame.
            self._limits[0] = np.asarray(self._limits[0], np.float32)
        self._cells = np.concatenate([
            np.arange(end - first) for first, end in zip(source.firsts, source.firsts[1:])])
        self._later_firsts = np.array(source.firsts[1:-1], np.intp)

    def find(self, tensors: Sequence[np.ndarray], extras: bool) -> Candidates:
        """
        Return the candidates of one frame.

        Args:
            tensors: the model's outputs, stored numbers.
            extras: whether the extra channels' values are wanted, too.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        check_outputs(tensors, self._layout)
        source = self._source
        search = self._search_one_class if self._one_class else self._search_classes
        anchors, values, class_ids, places = search(tensors)
        count = len(anchors)
        if count == 0 or not extras:
            # Another model's tensor is refused on an empty picture, too.
            for channels in self._extra if count else self._boxes + self._extra:
                channels.values(tensors)
        if count == 0:
            return no_candidates(self._extra[0].channels if self._extra else 0)
        found = Candidates(
            anchors, source.scores(values), class_ids,
            source.boxes(_read(self._boxes, tensors, places, count), anchors),
            _read(self._extra, tensors, places, count) if extras and self._extra
            else np.empty((count, 0), np.float32))
        return self._limited(found.finite())

    def _search_one_class(self, tensors: Sequence[np.ndarray]) -> _Hits:
        """Look at all parts at once: the only class's numbers are few, in whichever layout."""
        numbers = np.concatenate([part.classes.values(tensors) for part in self._source.parts],
                                 axis=None)
        anchors = (numbers > self._limits[0]).nonzero()[0]
        return (anchors, numbers.take(anchors), np.zeros(len(anchors), np.int32),
                self._places_of(anchors))

    def _search_classes(self, tensors: Sequence[np.ndarray]) -> _Hits:
        """Look at the parts, then at all of what was found at once."""
        views = [part.classes.cells(tensors) for part in self._source.parts]
        anchors = cells_above(views, self._limits, self._source.firsts)
        places = self._places_of(anchors)
        if len(anchors) == 0:
            return anchors, np.zeros(0, np.float32), np.zeros(0, np.int32), places
        rows, class_ids, numbers = self._choose(
            _read(self._class_channels, tensors, places, len(anchors)))
        if rows is not None:
            anchors = anchors[rows]
            places = self._places_of(anchors)
        return anchors, numbers, class_ids, places

    def _places_of(self, anchors: np.ndarray) -> list[np.ndarray]:
        """Return the cells of each part among ascending anchors."""
        ends = anchors.searchsorted(self._later_firsts).tolist()
        # An anchor's cell in its own part.
        cells = self._cells.take(anchors)
        places, start = [], 0
        for end in (*ends, len(anchors)):
            places.append(cells[start:end])
            start = end
        return places

    def _choose(self, values: np.ndarray,
                ) -> tuple[Optional[np.ndarray], np.ndarray, np.ndarray]:
        """
        Choose the classes of the cells that have one above its limit.

        Args:
            values: float32 (cells, classes), real numbers.

        Returns:
            the cell of each candidate, ascending, or None for each cell once; int32 class ids;
            float32 numbers.

        """
        return self._best_classes(values)

    def _best_classes(self, values: np.ndarray,
                      ) -> tuple[Optional[np.ndarray], np.ndarray, np.ndarray]:
        count, classes = values.shape
        if classes == 1:
            return None, np.zeros(count, np.int32), values[:, 0]
        ids = values.argmax(axis=1)
        # Three times as fast as indexing with both.
        best = values.reshape(-1).take(np.arange(0, values.size, classes) + ids)
        if isinstance(self._threshold, float):
            return None, ids.astype(np.int32), best
        rows = np.flatnonzero(best > self._threshold[ids])
        return rows, ids[rows].astype(np.int32), best[rows]

    def _limited(self, found: Candidates) -> Candidates:
        """Return the candidates that suppression looks at."""
        if self._classes is not None:
            found = found.of_classes(self._classes)
        return found.best(MAX_CANDIDATES) if len(found.anchors) > MAX_CANDIDATES else found


def _read(channels: Sequence[Channels], tensors: Sequence[np.ndarray],
          places: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Return the real values of the cells at `places` of each part, float32 (count, channels)."""
    values = np.empty((count, channels[0].channels), np.float32)
    start = 0
    for part, cells in zip(channels, places):
        end = start + len(cells)
        part.read(tensors, cells, values[start:end])
        start = end
    return values


def no_candidates(extra_channels: int) -> Candidates:
    """Return candidates of length 0."""
    return Candidates(np.zeros(0, np.intp), np.zeros(0, np.float32), np.zeros(0, np.int32),
                      np.zeros((0, 4), np.float32), np.zeros((0, extra_channels), np.float32))


def check_outputs(tensors: Sequence[np.ndarray], layout: HeadLayout) -> None:
    """
    Check what nobody looks at on an empty picture: the number of tensors, and the prototypes.

    Raises:
        ModelError: they are not those of the layout.

    """
    count = layout.output_count
    if len(tensors) != count:
        raise ModelError(f'the runtime returned {len(tensors)} tensors, the {layout.task} layout '
                         f'has {count}')
    if layout.prototypes is not None:
        head_values(layout.prototypes, tensors)
