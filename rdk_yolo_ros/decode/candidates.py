"""Candidates: the few cells whose class score passes the threshold, found before any decoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rdk_yolo_ros.decode.boxes import boxes_from_distances, distances
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.heads import Head, HeadLayout
from rdk_yolo_ros.tensors import dequantize, stored_threshold

# Upstream lets so many candidates into non-maximum suppression (Ultralytics' max_nms).
MAX_CANDIDATES = 30000


@dataclass(frozen=True)
class Candidates:
    """
    N cells that hold an instance, best score first.

    Attributes:
        levels: int (N,), index into the layout's levels.
        cells: int (N,), row * grid width + column on that level.
        scores: float32 (N,).
        class_ids: int32 (N,).

    """

    levels: np.ndarray
    cells: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.cells)

    def take(self, index: np.ndarray) -> Candidates:
        """Return the candidates that an integer or boolean array selects."""
        return Candidates(self.levels[index], self.cells[index], self.scores[index],
                          self.class_ids[index])


def cell_rows(head: Head, tensors: Sequence[np.ndarray]) -> np.ndarray:
    """Return a head's tensor as a (cells, channels) view, stored numbers."""
    values = head.info.valid(tensors[head.index])[0]
    if head.channels_last:
        return values.reshape(-1, head.channels)
    return values.reshape(head.channels, -1).T


def check_tensors(layout: HeadLayout, tensors: Sequence[np.ndarray]) -> None:
    """
    Check that a runtime's arrays are those that the layout describes.

    Raises:
        ModelError: their number, a shape or a dtype differs.

    """
    heads = [head for level in layout.levels
             for head in (level.class_head, level.box_head, level.extra) if head is not None]
    if layout.prototypes is not None:
        heads.append(layout.prototypes)
    if len(tensors) != len(heads):
        raise ModelError(f'the runtime returned {len(tensors)} tensors, the {layout.task} layout '
                         f'has {len(heads)}')
    for head in heads:
        try:
            head.info.valid(tensors[head.index])
        except ValueError as error:
            raise ModelError(str(error)) from None


def find_candidates(layout: HeadLayout, tensors: Sequence[np.ndarray],
                    options: DecodeOptions) -> Candidates:
    """Return the cells whose best class passes the threshold, stably sorted by score."""
    logit = _logit(options.score_threshold)
    levels, cells, best, class_ids = [], [], [], []
    for number, level in enumerate(layout.levels):
        stored = cell_rows(level.class_head, tensors)
        found = _cells_above(stored, stored_threshold(level.class_head.info, logit))
        rows = dequantize(stored[found], level.class_head.info)
        ids = rows.argmax(axis=1) if layout.class_num > 1 else np.zeros(len(found), np.intp)
        levels.append(np.full(len(found), number))
        cells.append(found)
        best.append(rows[np.arange(len(found)), ids])
        class_ids.append(ids)
    with np.errstate(over='ignore'):  # exp of a very negative logit's opposite: the score is 0
        scores = 1 / (1 + np.exp(-np.concatenate(best)))
    found = Candidates(np.concatenate(levels), np.concatenate(cells), scores,
                       np.concatenate(class_ids).astype(np.int32))
    order = np.argsort(-scores, kind='stable')
    if options.classes is not None:
        order = order[np.isin(found.class_ids[order], options.classes)]
    return found.take(order[:MAX_CANDIDATES])


def candidate_boxes(layout: HeadLayout, tensors: Sequence[np.ndarray],
                    candidates: Candidates) -> np.ndarray:
    """Return the candidates' boxes, float32 (N, 4), x1 y1 x2 y2 in model-input pixels."""
    heads = [level.box_head for level in layout.levels]
    logits = gather(heads, tensors, candidates)
    centres = cell_columns_rows(layout, candidates) + np.float32(0.5)
    return boxes_from_distances(distances(logits, layout.reg_max), centres,
                                candidate_strides(layout, candidates))


def gather(heads: Sequence[Head], tensors: Sequence[np.ndarray],
           candidates: Candidates) -> np.ndarray:
    """
    Return one head's real values for each candidate.

    Args:
        heads: the head of each level.
        tensors: the model's outputs.
        candidates: N of them.

    Returns:
        float32 (N, channels).

    """
    values = np.empty((len(candidates), heads[0].channels), np.float32)
    for number, head in enumerate(heads):
        here = np.flatnonzero(candidates.levels == number)
        if len(here):
            stored = cell_rows(head, tensors)[candidates.cells[here]]
            values[here] = dequantize(stored, head.info)
    return values


def cell_columns_rows(layout: HeadLayout, candidates: Candidates) -> np.ndarray:
    """Return float32 (N, 2): each candidate's column and row."""
    widths = np.array([level.class_head.grid_hw[1] for level in layout.levels])
    rows, columns = np.divmod(candidates.cells, widths[candidates.levels])
    return np.stack([columns, rows], axis=1).astype(np.float32)


def candidate_strides(layout: HeadLayout, candidates: Candidates) -> np.ndarray:
    """Return float32 (N,): pixels a cell of each candidate's level."""
    return np.array(layout.strides, np.float32)[candidates.levels]


def _cells_above(stored: np.ndarray, limit: object) -> np.ndarray:
    """Return the ascending indices of the rows with an element above the limit."""
    above = stored > limit
    if not above.flags.c_contiguous:  # NCHW: reduce along the memory's own order
        return np.flatnonzero(above.any(axis=1))
    # Few elements pass: finding them all at once beats reducing row by row.
    cells = np.flatnonzero(above)
    channels = stored.shape[1]
    if channels == 1 or len(cells) == 0:
        return cells
    cells //= channels
    first = np.empty(len(cells), bool)
    first[0] = True
    np.not_equal(cells[1:], cells[:-1], out=first[1:])
    return cells[first]


def _logit(score: float) -> float:
    """Return the logit whose sigmoid is `score`."""
    if score <= 0:
        return -np.inf
    if score >= 1:
        return np.inf
    return float(np.log(score / (1 - score)))
