"""What outputs may mean: a Reading, what is known beforehand, and which reading is preferred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.detections import TASKS
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.head_layout import Head, HeadLayout, Level, Table
from rdk_yolo_ros.tensors import TensorInfo

# What every published YOLO with a distribution focal loss uses (arXiv 2006.04388, YOLOv8 to 13),
# and the plain distances of YOLO26.
STANDARD_REG_MAX = (16, 1)
# COCO's person key points, each x, y and visibility.
STANDARD_KEYPOINTS = (17, 3)
# What every published segmentation model has.
MASK_CHANNELS = 32
# The class counts of the published checkpoints: COCO, COCO's persons, DOTA 1.0, ImageNet.
PUBLISHED_CLASSES = {'detect': 80, 'segment': 80, 'pose': 1, 'obb': 15, 'classify': 1000}
# The size that the published OBB checkpoints are trained and exported for.
OBB_INPUT = (1024, 1024)

MAX_CLASSES = 65535
MAX_KEYPOINTS = 1024

# The roles that `order` (a work configuration's `outputs`) gives to outputs.
ROLES = ('box', 'class', 'keypoints', 'coefficients', 'prototypes', 'angle')

# How many readings and outputs a message lists.
_LISTED_READINGS = 6
_LISTED_OUTPUTS = 20
_LONGEST_NAME = 60


@dataclass(frozen=True)
class Reading:
    """
    One way to read a model's outputs.

    Attributes:
        form: 'heads', or a Table's form.
        repeated: the channels that two heads of one stride share, so that shapes do not tell
            which is which; 0 where all differ.
        lacks: what is missing, so that the reading is one for a message only; '' for nothing.

    The others are HeadLayout's.

    """

    task: str
    class_num: int
    reg_max: int = 1
    num_keypoints: int = 0
    keypoint_dims: int = 3
    form: str = 'heads'
    repeated: int = 0
    lacks: str = ''

    def __str__(self) -> str:
        text = f'{self.task} with class_num {self.class_num}'
        if self.form == 'heads':
            text += f', reg_max {self.reg_max}'
        if self.task == 'pose':
            text += f', num_keypoints {self.num_keypoints}, keypoint_dims {self.keypoint_dims}'
        return (text + (', end to end' if self.form == 'end_to_end' else '')
                + (f', without its {self.lacks}' if self.lacks else ''))


@dataclass(frozen=True)
class Candidate:
    """A reading, and the outputs in the roles that it gives them."""

    reading: Reading
    levels: tuple[Level, ...] = ()
    prototypes: Optional[Head] = None
    table: Optional[Table] = None

    def layout(self, input_hw: tuple[int, int], known: Known) -> HeadLayout:
        """Return it as a HeadLayout, with the caller's rules and nms before the usual ones."""
        reading = self.reading
        plain = reading.form == 'heads' and reading.reg_max == 1
        rules = known.rules or ('yolo26' if plain else 'v8')
        nms = known.nms
        if nms is None:
            nms = not plain and reading.form in ('heads', 'dense')
        return HeadLayout(reading.task, input_hw, self.levels, reading.class_num, reading.reg_max,
                          reading.num_keypoints, self.prototypes, reading.keypoint_dims, rules,
                          nms, self.table)


@dataclass(frozen=True)
class Known:
    """What the caller already knows of the model; None where it does not."""

    task: Optional[str] = None
    class_num: Optional[int] = None
    reg_max: Optional[int] = None
    num_keypoints: Optional[int] = None
    keypoint_dims: Optional[int] = None
    rules: Optional[str] = None
    nms: Optional[bool] = None

    def __post_init__(self) -> None:
        """Refuse values that no model has."""
        for key, choices in (('task', TASKS), ('rules', ('v8', 'yolo26')),
                             ('keypoint_dims', (2, 3)), ('nms', (True, False))):
            value = getattr(self, key)
            if value is not None and value not in choices:
                expected = ', '.join(map(repr, choices))
                raise HeadError(f'{key} is {value!r}, expected one of {expected}')

    def admits(self, reading: Reading) -> bool:
        """Return whether a reading agrees with everything that is known."""
        return ((self.task is None or reading.task == self.task)
                and (self.class_num is None or reading.class_num == self.class_num)
                and (self.reg_max is None or reading.form != 'heads'
                     or reading.reg_max == self.reg_max)
                and self.num_keypoints in (None, reading.num_keypoints)
                and (self.keypoint_dims is None or (reading.task, reading.keypoint_dims)
                     == ('pose', self.keypoint_dims)))

    def __str__(self) -> str:
        return ', '.join(f'{key} {value}' for key, value in vars(self).items()
                         if value is not None and key not in ('rules', 'nms'))

    def as_given(self) -> str:
        """Return ' as task pose, class_num 1' or nothing, for a message."""
        return f' as {self}' if str(self) else ''


def key_points(channels: int) -> list[tuple[int, int]]:
    """Return (num_keypoints, keypoint_dims) for each way to split channels into key points."""
    return [(channels // dims, dims) for dims in (3, 2)
            if channels % dims == 0 and 0 < channels // dims <= MAX_KEYPOINTS]


def choose(candidates: Sequence[Candidate], known: Known, input_hw: tuple[int, int],
           outputs: Sequence[TensorInfo]) -> Candidate:
    """
    Return the one candidate that is preferred, all of which agree with what is known.

    Raises:
        HeadError: several are left; lists them and the keys that settle the matter.

    """
    by_reading: dict[Reading, Candidate] = {}
    for candidate in candidates:
        by_reading.setdefault(candidate.reading, candidate)
    readings = list(by_reading)
    for rule in _preferences(known, input_hw):
        readings = [r for r in readings if rule(r)] or readings
    if len(readings) > 1:
        raise _ambiguous(readings, outputs)
    reading = readings[0]
    if reading.lacks:
        raise HeadError(f'the outputs look like {reading}: the prototypes are missing, an output '
                        f'of {MASK_CHANNELS} channels and twice the resolution of the finest '
                        f'grid. Found {listing(outputs)}')
    if reading.repeated:
        raise HeadError(
            f'two heads of one stride have {reading.repeated} channels each and cannot be told '
            f'apart by shape (as {reading}): give each output its role with `outputs`, in the '
            f"model's order, from {', '.join(ROLES)}. Found {listing(outputs)}")
    return by_reading[reading]


def _preferences(known: Known, input_hw: tuple[int, int]) -> list[Callable[[Reading], bool]]:
    """Return what is preferred, the weightiest first; docs/heads.md has the reasons."""
    return [
        lambda r: known.rules is None or (r.reg_max == 1) == (known.rules == 'yolo26'),
        lambda r: known.nms is None or (r.form == 'end_to_end') == (not known.nms),
        lambda r: known.reg_max is not None or r.reg_max in STANDARD_REG_MAX,
        lambda r: _is_published(r, input_hw),
        lambda r: r.form == 'heads' and (r.num_keypoints, r.keypoint_dims) == STANDARD_KEYPOINTS,
    ]


def _is_published(reading: Reading, input_hw: tuple[int, int]) -> bool:
    """Return whether a reading has all figures of a published checkpoint."""
    if reading.class_num != PUBLISHED_CLASSES[reading.task] \
            or reading.reg_max not in STANDARD_REG_MAX:
        return False
    if reading.task == 'pose':
        return (reading.num_keypoints, reading.keypoint_dims) == STANDARD_KEYPOINTS
    # 15 channels are five key points, too: faces have them, at 640x640 and smaller.
    return reading.task != 'obb' or tuple(input_hw) == OBB_INPUT


def _ambiguous(readings: list[Reading], outputs: Sequence[TensorInfo]) -> HeadError:
    """Return the error that lists the readings and what settles them."""
    readings = sorted(readings, key=lambda r: (TASKS.index(r.task), r.class_num, r.reg_max,
                                               r.num_keypoints, r.form))
    more = len(readings) - _LISTED_READINGS
    keys = [key for key in ('task', 'class_num', 'reg_max', 'num_keypoints', 'keypoint_dims')
            if len({getattr(r, key) for r in readings}) > 1]
    if len({r.form for r in readings}) > 1:
        keys.append('nms')
    settle = ' or '.join(f'`{key}`' for key in keys)
    # Roles tell which head is which, not how many values a key point has.
    if all(r.form == 'heads' for r in readings) \
            and len({(r.task, r.class_num, r.reg_max) for r in readings}) > 1:
        settle += (", or give each output its role with `outputs` (in the model's order, from "
                   f'{", ".join(ROLES)})')
    return HeadError(f'the outputs can be read in {len(readings)} ways: '
                     + '; or '.join(map(str, readings[:_LISTED_READINGS]))
                     + (f'; or {more} more' if more > 0 else '')
                     + f'. Settle it with {settle}. Found {listing(outputs)}')


def listing(outputs: Sequence[TensorInfo]) -> str:
    """Return the outputs in one line, for a message."""
    found = [f'{_named(o)} {"x".join(map(str, o.shape))} {np.dtype(o.dtype).name}'
             for o in outputs[:_LISTED_OUTPUTS]]
    more = len(outputs) - _LISTED_OUTPUTS
    return (', '.join(found) or 'no outputs') + (f' and {more} more' if more > 0 else '')


def _named(info: TensorInfo) -> str:
    # What a model file calls its outputs may be any text.
    fits = info.name.isprintable() and len(info.name) <= _LONGEST_NAME
    return info.name if fits else shown(info.name)
