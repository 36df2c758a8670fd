"""
Which output tensor is which YOLO head.

Recognition works from shapes and never from a tensor's position or name: exporters disagree on
the order of the outputs, and a wrong guess decodes to nonsense. Where shapes alone allow two
readings, HeadError lists them and the keys that settle the matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.head_layout import Head, HeadLayout, Level
from rdk_yolo_ros.tensors import TensorInfo

__all__ = ['Head', 'HeadLayout', 'Level', 'ROLES', 'TensorInfo', 'identify_heads']

# The roles that `order` (a work configuration's `outputs`) gives to outputs.
ROLES = ('box', 'class', 'keypoints', 'coefficients', 'prototypes')

STRIDES = (8, 16, 32)
PROTOTYPE_STRIDE = 4
# What every published YOLO with a distribution focal loss uses (arXiv 2006.04388, YOLOv8).
STANDARD_REG_MAX = 16
# COCO's person key points.
STANDARD_KEYPOINTS = 17

_EXTRA_TASK = {'keypoints': 'pose', 'coefficients': 'segment'}


@dataclass(frozen=True)
class _Reading:
    """One way to read the outputs: the number of channels that each role has on every stride."""

    task: str
    box: int
    classes: int
    extra: int = 0

    def __str__(self) -> str:
        text = f'{self.task} with class_num {self.classes}, reg_max {self.box // 4}'
        return text + (f', num_keypoints {self.extra // 3}' if self.task == 'pose' else '')


def identify_heads(outputs: Sequence[TensorInfo], input_hw: tuple[int, int],
                   task: Optional[str] = None, class_num: Optional[int] = None,
                   reg_max: Optional[int] = None, num_keypoints: Optional[int] = None,
                   order: Optional[Sequence[str]] = None) -> HeadLayout:
    """
    Recognise a model's heads by the shapes of its outputs.

    Args:
        outputs: the model's outputs in any order, (1, h, w, c) or (1, c, h, w).
        input_hw: the model's input height and width in pixels.
        task: 'detect', 'segment' or 'pose'; None takes what the outputs say.
        class_num, reg_max, num_keypoints: None takes what the outputs say.
        order: the role of each output, in the model's own order (ROLES); settles what shapes
            cannot.

    Raises:
        HeadError: the outputs are no YOLO heads, lack some, or can be read in several ways.

    """
    if task not in (None, 'detect', 'segment', 'pose'):
        raise HeadError(f"task is {task!r}, expected 'detect', 'segment' or 'pose'")
    wanted = _Wanted(task, class_num, reg_max, num_keypoints)
    readings: dict[tuple[bool, _Reading], HeadLayout] = {}
    complaints = []
    for channels_last in (True, False):
        try:
            heads, prototypes = _place(outputs, input_hw, channels_last)
            if order is not None:
                found = [_read_in_order(heads, prototypes, wanted, order, outputs)]
            else:
                found = list(_read_by_channels(heads, prototypes, wanted))
        except HeadError as error:
            complaints.append((channels_last, error))
            continue
        for reading, levels in found:
            readings[channels_last, reading] = HeadLayout(
                reading.task, (int(input_hw[0]), int(input_hw[1])), levels, reading.classes,
                reading.box // 4, reading.extra // 3 if reading.task == 'pose' else 0,
                prototypes if reading.task == 'segment' else None)
    if not readings:
        raise _closest(complaints)
    if len(readings) > 1:
        raise HeadError(
            f'the outputs can be read in {len(readings)} ways: '
            + '; or '.join(sorted(str(reading) for _, reading in readings))
            + f'. Settle it with `task`, `class_num`, `reg_max` or `num_keypoints`, or give each '
            f'output its role with `outputs` (in the model\'s order, from {", ".join(ROLES)}). '
            f'Found {_listing(outputs)}')
    return next(iter(readings.values()))


@dataclass(frozen=True)
class _Wanted:
    """What the caller already knows of the model."""

    task: Optional[str]
    class_num: Optional[int]
    reg_max: Optional[int]
    num_keypoints: Optional[int]

    def admits(self, reading: _Reading) -> bool:
        return ((self.task is None or reading.task == self.task)
                and (self.class_num is None or reading.classes == self.class_num)
                and (self.reg_max is None or reading.box == 4 * self.reg_max)
                and (self.num_keypoints is None or reading.task != 'pose'
                     or reading.extra == 3 * self.num_keypoints))

    def __str__(self) -> str:
        known = {key: value for key, value in vars(self).items() if value is not None}
        return ', '.join(f'{key} {value}' for key, value in known.items())


_Heads = dict[int, list[Head]]


def _place(outputs: Sequence[TensorInfo], input_hw: tuple[int, int],
           channels_last: bool) -> tuple[_Heads, Optional[Head]]:
    """Put every output on the stride whose grid it has."""
    height, width = input_hw
    grids = {(height // s, width // s): s for s in (PROTOTYPE_STRIDE, *STRIDES)}
    heads: _Heads = {}
    for index, info in enumerate(outputs):
        if len(info.shape) == 4 and info.shape[0] == 1:
            grid = info.shape[1:3] if channels_last else info.shape[2:4]
            channels = info.shape[3] if channels_last else info.shape[1]
            if grid in grids:
                heads.setdefault(grids[grid], []).append(
                    Head(index, info, grid, channels, channels_last))
                continue
        expected = ', '.join(f'{h}x{w}' for h, w in grids)
        raise HeadError(
            f'output {info.name!r} with shape {info.shape} is no YOLO head: its grid should be '
            f'one of {expected} for the {height}x{width} input. Export the model with its heads '
            f'as separate outputs. Found {_listing(outputs)}')
    fine = heads.pop(PROTOTYPE_STRIDE, [])
    if len(fine) > 1:
        raise HeadError(f'{len(fine)} outputs have the grid of mask prototypes, expected one: '
                        + ', '.join(repr(head.info.name) for head in fine))
    missing = [s for s in STRIDES if s not in heads]
    if missing:
        raise HeadError(f'no output has the grid of stride {missing[0]} '
                        f'({height // missing[0]}x{width // missing[0]}): the box and class heads '
                        f'of that stride are missing. Found {_listing(outputs)}')
    return heads, fine[0] if fine else None


def _read_by_channels(heads: _Heads, prototypes: Optional[Head],
                      wanted: _Wanted) -> Iterator[tuple[_Reading, tuple[Level, ...]]]:
    """Yield every reading that fits the channel counts, the standard ones if there are any."""
    counts = {s: sorted(head.channels for head in found) for s, found in heads.items()}
    first = counts[STRIDES[0]]
    for s in STRIDES:
        if counts[s] != first:
            raise HeadError(f'stride {s} has heads of {counts[s]} channels, stride {STRIDES[0]} '
                            f'of {first}: every stride must have the same heads')
    # A set: heads of equal width make several assignments with one reading.
    readings = {r for r in _assignments(first, prototypes) if wanted.admits(r)}
    if not readings:
        raise HeadError(
            f'no way to read heads of {first} channels on each stride'
            f'{" and prototypes" if prototypes else ""}'
            f'{f" as {wanted}" if str(wanted) else ""}: expected class_num, 4 * reg_max for the '
            'box (64), and for pose 3 * num_keypoints (51), for segment 32 with prototypes')
    if wanted.reg_max is None:
        readings = ({r for r in readings if r.box == 4 * STANDARD_REG_MAX}
                    or {r for r in readings if r.box == 4} or readings)
    if wanted.num_keypoints is None:
        readings = {r for r in readings if r.extra == 3 * STANDARD_KEYPOINTS} or readings
    for reading in readings:
        _refuse_without_dfl(reading)
        channels = (reading.box, reading.classes, reading.extra)[:len(first)]
        if len(set(channels)) < len(channels):
            raise HeadError(
                f'two heads of one stride have {_repeated(channels)} channels each and cannot be '
                f'told apart by shape (as {reading}): give each output its role with `outputs`, '
                f'in the model\'s order, from {", ".join(ROLES)}')
        yield reading, tuple(_level(s, {h.channels: h for h in heads[s]}, channels)
                             for s in STRIDES)


def _level(stride: int, by_channels: dict[int, Head], channels: Sequence[int]) -> Level:
    box, classes, *extra = (by_channels[c] for c in channels)
    return Level(stride, classes, box, *extra)


def _assignments(channels: list[int], prototypes: Optional[Head]) -> Iterator[_Reading]:
    """Yield the readings of one stride's channel counts, whatever the caller knows."""
    for i, box in enumerate(channels):
        if box % 4:
            continue
        rest = channels[:i] + channels[i + 1:]
        if len(rest) == 1 and prototypes is None:
            yield _Reading('detect', box, rest[0])
        elif len(rest) == 2:
            for classes, extra in (rest, rest[::-1]):
                if prototypes is not None and extra == prototypes.channels:
                    yield _Reading('segment', box, classes, extra)
                elif prototypes is None and extra % 3 == 0:
                    yield _Reading('pose', box, classes, extra)


def _read_in_order(heads: _Heads, prototypes: Optional[Head], wanted: _Wanted,
                   order: Sequence[str], outputs: Sequence[TensorInfo],
                   ) -> tuple[_Reading, tuple[Level, ...]]:
    """Read the outputs as the caller's roles say, and check that their shapes agree."""
    unknown = [role for role in order if role not in ROLES]
    if unknown:
        raise HeadError(f'`outputs` has the role {unknown[0]!r}, expected one of '
                        f'{", ".join(ROLES)}')
    if len(order) != len(outputs):
        raise HeadError(f'`outputs` names {len(order)} roles, the model has {len(outputs)} '
                        f'outputs: {_listing(outputs)}')
    if (prototypes is None) != ('prototypes' not in order) or (
            prototypes is not None and order[prototypes.index] != 'prototypes'):
        found = 'none' if prototypes is None else repr(prototypes.info.name)
        raise HeadError(f'`outputs` gives the role prototypes to another tensor than the one '
                        f'with their grid ({found}). Found {_listing(outputs)}')
    levels, readings = [], set()
    for stride in STRIDES:
        roles = {order[head.index]: head for head in heads[stride]}
        extra_role = next((role for role in roles if role in _EXTRA_TASK), None)
        expected = {'box', 'class'} | ({extra_role} if extra_role else set())
        if set(roles) != expected or len(heads[stride]) != len(expected):
            given = ', '.join(f'{h.info.name!r} {order[h.index]}' for h in heads[stride])
            raise HeadError(f'`outputs` gives stride {stride} the roles {given}; expected one '
                            'box, one class and at most one of keypoints and coefficients')
        extra = roles.get(extra_role) if extra_role else None
        task = _EXTRA_TASK[extra_role] if extra_role else 'detect'
        reading = _Reading(task, roles['box'].channels, roles['class'].channels,
                           extra.channels if extra else 0)
        _check_reading(reading, stride, prototypes)
        readings.add(reading)
        levels.append(Level(stride, roles['class'], roles['box'], extra))
    if len(readings) > 1 or not wanted.admits(reading):
        raise HeadError(f'`outputs` reads the model as {"; ".join(sorted(map(str, readings)))}, '
                        f'expected one reading for every stride'
                        f'{f" and {wanted}" if str(wanted) else ""}')
    return reading, tuple(levels)


def _refuse_without_dfl(reading: _Reading) -> None:
    if reading.box == 4:
        raise HeadError('the box heads have 4 channels, distances without a distribution '
                        '(YOLO26), which this version does not decode; expected 4 * reg_max '
                        'channels, 64 for YOLOv8 to 12')


def _check_reading(reading: _Reading, stride: int, prototypes: Optional[Head]) -> None:
    _refuse_without_dfl(reading)
    if reading.box % 4:
        raise HeadError(f'the box head of stride {stride} has {reading.box} channels, expected '
                        '4 * reg_max with a reg_max of 2 or more')
    if reading.task == 'pose' and reading.extra % 3:
        raise HeadError(f'the key point head of stride {stride} has {reading.extra} channels, '
                        'expected 3 for each key point')
    if reading.task == 'segment' and (prototypes is None
                                      or prototypes.channels != reading.extra):
        found = 'no prototypes' if prototypes is None else f'{prototypes.channels} prototypes'
        raise HeadError(f'the coefficient head of stride {stride} has {reading.extra} channels '
                        f'and the model {found}; expected as many of each')


def _repeated(channels: Sequence[int]) -> int:
    return next(c for c in channels if channels.count(c) > 1)


def _closest(complaints: list[tuple[bool, HeadError]]) -> HeadError:
    """Return the complaint that helps: a layout in which outputs were placed says more."""
    for _, error in complaints:
        if 'is no YOLO head' not in str(error):
            return error
    return complaints[0][1]


def _listing(outputs: Sequence[TensorInfo]) -> str:
    return ', '.join(f'{o.name} {"x".join(map(str, o.shape))} {np.dtype(o.dtype).name}'
                     for o in outputs) or 'no outputs'
