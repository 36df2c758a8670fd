"""
Tables: one output that holds a whole result, and the ways to read its columns.

The forms are those of Ultralytics' own exports; `rdk_yolo_ros.head_layout.Table` describes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Optional

from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.head_layout import Head, Table
from rdk_yolo_ros.heads.grids import ALL_STRIDES, PROTOTYPE_STRIDES, STRIDES, grid_of, heads_on
from rdk_yolo_ros.heads.reading import (
    MASK_CHANNELS,
    MAX_CLASSES,
    MAX_KEYPOINTS,
    PUBLISHED_CLASSES,
    Candidate,
    Known,
    Reading,
    key_points,
    listing,
)
from rdk_yolo_ros.tensors import TensorInfo

# The rows of an end-to-end export, unless it was told otherwise.
END_TO_END_ROWS = 300


def has_table(outputs: Sequence[TensorInfo]) -> bool:
    """Return whether the outputs are no raw heads, each with a grid of its own."""
    return any(len(info.shape) in (2, 3) for info in outputs) or (
        len(outputs) == 1 and _classes_of(outputs[0]) is not None)


def read_table(outputs: Sequence[TensorInfo], input_hw: tuple[int, int],
               known: Known) -> list[Candidate]:
    """
    Return every way to read a table that agrees with what is known; at least one.

    Raises:
        HeadError: there is none, or the outputs beside the table are not prototypes.

    """
    index, prototypes = _table_and_prototypes(outputs, input_hw)
    info = outputs[index]
    classes = _classes_of(info)
    if classes is not None:
        candidates = []
        if prototypes is None and classes <= MAX_CLASSES:
            table = Table(index, info, 'classes', 1, classes, True)
            candidates.append(Candidate(Reading('classify', classes, form='classes'),
                                        table=table))
    else:
        candidates = [*_dense(index, info, input_hw, prototypes, known),
                      *_end_to_end(index, info, input_hw, prototypes, known)]
    admitted = [c for c in candidates if known.admits(c.reading)]
    if admitted:
        return admitted
    raise HeadError(
        f'no way to read output {shown(info.name)} with shape {info.shape}'
        f'{" and prototypes" if prototypes else ""}{known.as_given()}: '
        f'{_expected(info, input_hw)}. Found {listing(outputs)}')


def cells(input_hw: tuple[int, int], strides: Sequence[int]) -> int:
    """Return the number of cells on several strides: a dense table's rows."""
    grids = [grid_of(input_hw, stride) for stride in strides]
    return sum(rows * columns for rows, columns in grids)


def _cell_counts(input_hw: tuple[int, int]) -> dict[int, tuple[int, ...]]:
    """Return {number of cells: strides} for every set of strides that a model may have."""
    optional = [stride for stride in ALL_STRIDES if stride not in STRIDES]
    sets = [tuple(sorted((*STRIDES, *some))) for n in range(len(optional) + 1)
            for some in combinations(optional, n)]
    return {cells(input_hw, strides): strides for strides in reversed(sets)}


def _classes_of(info: TensorInfo) -> Optional[int]:
    """Return the number of classes where an output has the shape of a classification."""
    shape = info.shape
    if len(shape) == 2 and shape[0] == 1 and shape[1] > 0:
        return shape[1]
    if len(shape) == 4 and sum(n != 1 for n in shape) <= 1 and min(shape) > 0 \
            and shape[0] == shape[2] == 1:
        return max(shape)
    return None


def _table_and_prototypes(outputs: Sequence[TensorInfo], input_hw: tuple[int, int],
                          ) -> tuple[int, Optional[Head]]:
    """Return the table's index and the prototypes beside it."""
    if len(outputs) == 1:
        return 0, None
    tables = [i for i, info in enumerate(outputs) if len(info.shape) in (2, 3)]
    others = [i for i in range(len(outputs)) if i not in tables]
    fine = [head for i in others
            for _, head in heads_on(i, outputs[i], input_hw, PROTOTYPE_STRIDES)]
    if len(tables) != 1 or len(others) != 1 or not fine:
        expected = ' or '.join('x'.join(map(str, grid_of(input_hw, s)))
                               for s in reversed(PROTOTYPE_STRIDES))
        raise HeadError(
            f'{len(outputs)} outputs, one of which ({shown(outputs[tables[0]].name)}) has the '
            'shape of a table that holds everything; beside it, expected mask prototypes with a '
            f'grid of {expected} or nothing. Found {listing(outputs)}')
    return tables[0], fine[0]


def _dense(index: int, info: TensorInfo, input_hw: tuple[int, int], prototypes: Optional[Head],
           known: Known) -> Iterator[Candidate]:
    if len(info.shape) != 3 or info.shape[0] != 1:
        return
    counts = _cell_counts(input_hw)
    # Ultralytics' own orientation first: where both fit, it is the one.
    for rows_first in (False, True):
        rows, columns = info.shape[1:] if rows_first else info.shape[:0:-1]
        if rows not in counts or rows == 0:
            continue
        if prototypes is not None \
                and prototypes.grid_hw != grid_of(input_hw, counts[rows][0] // 2):
            continue
        table = Table(index, info, 'dense', rows, columns, rows_first)
        for reading in _dense_readings(columns - 4, prototypes, known):
            yield Candidate(reading, prototypes=prototypes, table=table)


def _dense_readings(columns: int, prototypes: Optional[Head],
                    known: Known) -> Iterator[Reading]:
    """Yield the ways to split the columns past the box into classes and the task's own."""
    def classes_and(extra: int) -> bool:
        return 0 < columns - extra <= MAX_CLASSES

    if prototypes is not None:
        if classes_and(prototypes.channels):
            yield Reading('segment', columns - prototypes.channels, form='dense')
        return
    if classes_and(0):
        yield Reading('detect', columns, form='dense')
    if classes_and(1):
        yield Reading('obb', columns - 1, form='dense')
    counts = range(1, MAX_KEYPOINTS + 1) if known.num_keypoints is None \
        else [known.num_keypoints]
    for count in counts:
        for dims in (3, 2):
            if classes_and(count * dims) and count > 0:
                yield Reading('pose', columns - count * dims, 1, count, dims, 'dense')
    if classes_and(MASK_CHANNELS):
        yield Reading('segment', columns - MASK_CHANNELS, form='dense', lacks='prototypes')


def _end_to_end(index: int, info: TensorInfo, input_hw: tuple[int, int],
                prototypes: Optional[Head], known: Known) -> Iterator[Candidate]:
    if len(info.shape) != 3 or info.shape[0] != 1:
        return
    rows, columns = info.shape[1:]
    counts = _cell_counts(input_hw)
    # Any table with few columns could be one: the usual number of rows, or a word of the caller.
    expected = rows == END_TO_END_ROWS or (known.task is not None and rows not in counts) \
        or known.nms is False
    if rows < 1 or not expected or columns in counts:
        return
    table = Table(index, info, 'end_to_end', rows, columns, True)
    for reading in _end_to_end_readings(columns - 6, prototypes, known):
        yield Candidate(reading, prototypes=prototypes, table=table)


def _end_to_end_readings(extra: int, prototypes: Optional[Head],
                         known: Known) -> Iterator[Reading]:
    def reading(task: str, points: int = 0, dims: int = 3, lacks: str = '') -> Reading:
        # The table has a class's number, not how many there are.
        class_num = known.class_num or PUBLISHED_CLASSES[task]
        return Reading(task, class_num, 1, points, dims, 'end_to_end', lacks=lacks)

    if prototypes is not None:
        if extra == prototypes.channels:
            yield reading('segment')
    elif extra == 0:
        yield reading('detect')
    elif extra == 1:
        yield reading('obb')
    else:
        for points, dims in key_points(extra):
            yield reading('pose', points, dims)
        if extra == MASK_CHANNELS:
            yield reading('segment', lacks='prototypes')


def _expected(info: TensorInfo, input_hw: tuple[int, int]) -> str:
    """Return what a table should look like, and what this one looks like instead."""
    height, width = input_hw
    rows = cells(input_hw, STRIDES)
    text = (f'expected (1, 4 + class_num + extra, {rows}) for the {height}x{width} input, '
            f'transposed or not, or end to end (1, {END_TO_END_ROWS}, 6 + extra; with another '
            'number of rows it takes `task` or `nms: false`), or (1, class_num)')
    if 3 * rows in info.shape:
        text += ('; three anchors in each cell are a YOLO with anchors (YOLOv3, v5, v7), which '
                 'is not decoded here')
    return text
