"""Candidates: the few anchors whose class score passes the threshold, found before decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import NamedTuple, Optional, Protocol

import numpy as np

from rdk_yolo_ros.decode.cells import Channels, Limit, stored_limit
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.head_layout import HeadLayout

# Upstream lets so many candidates into non-maximum suppression (Ultralytics' max_nms).
MAX_CANDIDATES = 30000


@dataclass(frozen=True)
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
        if index.dtype == bool:
            index = index.nonzero()[0]
        # Twice as fast as indexing on arrays of this size.
        return Candidates(self.anchors.take(index), self.scores.take(index),
                          self.class_ids.take(index), self.boxes.take(index, axis=0),
                          self.extra.take(index, axis=0))

    def finite(self) -> Candidates:
        """Return the candidates whose boxes and scores are numbers: a broken model's may not."""
        # One number tells whether there is a NaN or an infinity anywhere.
        numbers = self.boxes.reshape(-1)
        if math.isfinite(numbers.dot(numbers) + self.scores.dot(self.scores)):
            return self
        return self.take(np.isfinite(self.boxes).all(axis=1) & np.isfinite(self.scores))

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
        """The index of each part's first anchor."""

    def threshold(self, score: float) -> float:
        """Return the class channels' number that has this score."""

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Return the scores of the class channels' numbers, float32 (n,)."""

    def boxes(self, values: np.ndarray, anchors: np.ndarray) -> np.ndarray:
        """Return float32 (n, 4), x1 y1 x2 y2, of the box channels' numbers (n, channels)."""


class CandidateFinder:
    """
    Finds the anchors whose best class passes the threshold, in the anchors' order.

    It holds what depends on the layout and the options alone.
    """

    def __init__(self, layout: HeadLayout, options: DecodeOptions, source: Source) -> None:
        """Work out the thresholds in the class channels' own numbers."""
        self._task = layout.task
        self._source = source
        self._classes = options.classes
        # In real numbers, one or one for each class; then in those of each part.
        self._threshold: Limit = source.threshold(options.score_threshold)
        if options.score_thresholds:
            self._threshold = np.full(layout.class_num, self._threshold, np.float64)
            for class_id, score in options.score_thresholds.items():
                self._threshold[class_id] = source.threshold(score)
        self._views = [[channels.cells for channels in part if channels is not None]
                       for part in source.parts]
        self._limits = [stored_limit(part.classes, self._threshold) for part in source.parts]
        self._count = output_count(layout)

    def find(self, tensors: Sequence[np.ndarray], extras: bool) -> Candidates:
        """
        Return the candidates of one frame.

        Args:
            tensors: the model's outputs, stored numbers.
            extras: whether the extra channels' values are wanted, too.

        Raises:
            ModelError: the tensors are not those of the layout.

        """
        check_count(tensors, self._count, self._task)
        source = self._source
        # All of them before any: a tensor of another model is refused on an empty picture, too.
        views = [[view(tensors) for view in part] for part in self._views]
        anchors, numbers, class_ids, boxes, extra = [], [], [], [], []
        for part, (classes, *others), limit, first in zip(source.parts, views, self._limits,
                                                          source.firsts):
            cells = classes.above(limit)
            if len(cells) == 0:
                continue
            rows, ids, values = self._choose(part.classes.real(classes.take(cells)))
            if rows is not None:
                cells = cells[rows]
            boxes.append(part.boxes.real(others[0].take(cells)))
            if extras and part.extra is not None:
                extra.append(part.extra.real(others[1].take(cells)))
            anchors.append(cells + first)
            numbers.append(values)
            class_ids.append(ids)
        if not anchors:
            channels = source.parts[0].extra
            return no_candidates(channels.channels if channels else 0)
        anchor = np.concatenate(anchors)
        found = Candidates(anchor, source.scores(np.concatenate(numbers)),
                           np.concatenate(class_ids),
                           source.boxes(np.concatenate(boxes), anchor),
                           np.concatenate(extra) if extra
                           else np.empty((len(anchor), 0), np.float32))
        return self._limited(found.finite())

    def _choose(self, values: np.ndarray,
                ) -> tuple[Optional[np.ndarray], np.ndarray, np.ndarray]:
        """
        Choose the classes of the cells that have one above its limit.

        Args:
            values: float32 (cells, classes), real numbers.

        Returns:
            the cell of each candidate, or None for each cell once; int32 class ids; float32
            numbers.

        """
        return self._best_classes(values)

    def _best_classes(self, values: np.ndarray,
                      ) -> tuple[Optional[np.ndarray], np.ndarray, np.ndarray]:
        count, classes = values.shape
        if classes == 1:
            return None, np.zeros(count, np.int32), values[:, 0]
        ids = values.argmax(axis=1)
        best = values[np.arange(count), ids]
        if isinstance(self._threshold, float):
            return None, ids.astype(np.int32), best
        rows = np.flatnonzero(best > self._threshold[ids])
        return rows, ids[rows].astype(np.int32), best[rows]

    def _limited(self, found: Candidates) -> Candidates:
        """Return the candidates that suppression looks at."""
        found = found.of_classes(self._classes)
        return found.best(MAX_CANDIDATES) if len(found) > MAX_CANDIDATES else found


def no_candidates(extra_channels: int) -> Candidates:
    """Return candidates of length 0."""
    return Candidates(np.zeros(0, np.intp), np.zeros(0, np.float32), np.zeros(0, np.int32),
                      np.zeros((0, 4), np.float32), np.zeros((0, extra_channels), np.float32))


def output_count(layout: HeadLayout) -> int:
    """Return how many of a model's outputs the layout reads."""
    heads = sum(2 + (level.extra is not None) for level in layout.levels)
    return heads + (layout.prototypes is not None) + (layout.table is not None)


def check_count(tensors: Sequence[np.ndarray], count: int, task: str) -> None:
    """
    Check the number of tensors.

    Raises:
        ModelError: it is not that of the layout.

    """
    if len(tensors) != count:
        raise ModelError(f'the runtime returned {len(tensors)} tensors, the {task} layout has '
                         f'{count}')
