"""Raw heads: the ways to read the outputs of each stride by their channels, or by given roles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Optional

from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.head_layout import Head, Level
from rdk_yolo_ros.heads.grids import Placed, place
from rdk_yolo_ros.heads.reading import (
    MASK_CHANNELS,
    MAX_CLASSES,
    ROLES,
    Candidate,
    Known,
    Reading,
    key_points,
    listing,
)
from rdk_yolo_ros.tensors import TensorInfo

_EXTRA_TASK = {'keypoints': 'pose', 'coefficients': 'segment', 'angle': 'obb'}


def read_levels(outputs: Sequence[TensorInfo], input_hw: tuple[int, int], known: Known,
                order: Optional[Sequence[str]]) -> list[Candidate]:
    """
    Return every way to read raw heads that agrees with what is known; at least one.

    Raises:
        HeadError: there is none; says what is missing.

    """
    found: list[Candidate] = []
    problem: Optional[HeadError] = None
    for placed in place(outputs, input_hw):
        try:
            found += (_by_channels(placed, known, outputs) if order is None
                      else _by_role(placed, known, order, outputs))
        except HeadError as error:
            problem = problem or error
    if not found:
        assert problem is not None  # each placing yields a candidate or an error
        raise problem
    return found


def _by_channels(placed: Placed, known: Known, outputs: Sequence[TensorInfo]) -> list[Candidate]:
    counts = {s: sorted(head.channels for head in found) for s, found in placed.heads.items()}
    finest, channels = next(iter(counts.items()))
    for stride in counts:
        if counts[stride] != channels:
            raise HeadError(f'stride {stride} has heads of {counts[stride]} channels, stride '
                            f'{finest} of {channels}: every stride must have the same heads. '
                            f'Found {listing(outputs)}')
    # A dict: heads of equal width make several assignments with one reading.
    roles = {reading: widths for reading, widths in _assignments(channels, placed.prototypes)
             if known.admits(reading)}
    if not roles:
        raise HeadError(
            f'no way to read heads of {channels} channels on each stride'
            f'{" and prototypes" if placed.prototypes else ""}{known.as_given()}: '
            f'{_what_is_missing(channels, placed, outputs)}')
    return [Candidate(reading, () if reading.repeated or reading.lacks else tuple(
                _level(stride, heads, widths) for stride, heads in placed.heads.items()),
                placed.prototypes)
            for reading, widths in roles.items()]


def _level(stride: int, heads: Sequence[Head], widths: Sequence[int]) -> Level:
    by_channels = {head.channels: head for head in heads}
    box, classes, *extra = (by_channels[c] for c in widths)
    return Level(stride, classes, box, *extra)


def _assignments(channels: Sequence[int], prototypes: Optional[Head],
                 ) -> Iterator[tuple[Reading, tuple[int, ...]]]:
    """Yield (reading, channels of box, class and extra) for one stride's channel counts."""
    if len(channels) not in (2, 3):
        return
    for i, box in enumerate(channels):
        rest = [*channels[:i], *channels[i + 1:]]
        for classes, *extra in {tuple(rest), tuple(reversed(rest))}:
            if len(rest) == 1 or extra:
                widths = (box, classes, *extra)
                for reading in _readings(widths, prototypes):
                    yield reading, widths


def _readings(widths: Sequence[int], prototypes: Optional[Head],
              task: Optional[str] = None) -> Iterator[Reading]:
    """
    Yield the readings of a box, a class and perhaps an extra head of so many channels.

    `task` is None where the roles come from the channels alone.
    """
    box, classes, *rest = widths
    if box % 4 or classes > MAX_CLASSES:
        return
    repeated = next((c for c in widths if widths.count(c) > 1), 0) if task is None else 0

    def reading(name: str, points: int = 0, dims: int = 3, lacks: str = '') -> Reading:
        return Reading(name, classes, box // 4, points, dims, repeated=repeated, lacks=lacks)

    extra = rest[0] if rest else 0
    if prototypes is not None:
        if extra == prototypes.channels:
            yield reading('segment')
        return
    if not extra:
        yield reading('detect')
        return
    if extra == 1 and task in (None, 'obb'):
        yield reading('obb')
    if task in (None, 'pose'):
        for points, dims in key_points(extra):
            yield reading('pose', points, dims)
    if extra == MASK_CHANNELS and task is None:
        yield reading('segment', lacks='prototypes')


def _what_is_missing(channels: Sequence[int], placed: Placed,
                     outputs: Sequence[TensorInfo]) -> str:
    """Return what the outputs lack, or what is expected of them."""
    found = f'. Found {listing(outputs)}'
    if len(channels) == 1:
        return ('each stride has one output, expected a box head and a class head. A YOLO with '
                'anchors (YOLOv3, v5, v7) is not decoded here; one whose heads are joined must '
                'be exported with separate ones' + found)
    if len(channels) > 3:
        return f'each stride has {len(channels)} outputs, expected 2 or 3' + found
    if placed.prototypes is not None:
        return (f'the prototypes have {placed.prototypes.channels} channels, and each stride '
                'should have a box head (4 * reg_max), a class head and as many mask '
                f'coefficients, {placed.prototypes.channels}' + found)
    return ('expected class_num, 4 * reg_max for the box (64, or 4 without a distribution), and '
            'for pose keypoint_dims * num_keypoints (51), for obb 1, for segment 32 with '
            'prototypes' + found)


def _by_role(placed: Placed, known: Known, order: Sequence[str],
             outputs: Sequence[TensorInfo]) -> list[Candidate]:
    """Read the outputs as the caller's roles say, and check that their shapes agree."""
    _check_order(order, placed, outputs)
    levels = []
    widths: set[tuple[int, ...]] = set()
    tasks = set()
    for stride, heads in placed.heads.items():
        level, task = _level_by_role(stride, heads, order)
        _check_level(level, task, placed.prototypes)
        levels.append(level)
        tasks.add(task)
        widths.add(tuple(head.channels for head in (level.box_head, level.class_head, level.extra)
                         if head is not None))
    if len(widths) > 1 or len(tasks) > 1:
        raise HeadError('`outputs` gives the strides heads of '
                        + '; '.join(str(list(w)) for w in sorted(widths))
                        + ' channels (box, class and extra), expected the same for every stride. '
                        f'Found {listing(outputs)}')
    task, = tasks
    readings = list(_readings(next(iter(widths)), placed.prototypes, task))
    admitted = [reading for reading in readings if known.admits(reading)]
    if not admitted:
        raise HeadError('`outputs` reads the model as '
                        + ('; '.join(map(str, readings)) or 'none of the tasks')
                        + f', which is not the model{known.as_given()} that is expected. '
                        f'Found {listing(outputs)}')
    return [Candidate(reading, tuple(levels), placed.prototypes) for reading in admitted]


def _check_order(order: Sequence[str], placed: Placed, outputs: Sequence[TensorInfo]) -> None:
    unknown = [role for role in order if role not in ROLES]
    if unknown:
        raise HeadError(f'`outputs` has the role {unknown[0]!r}, expected one of '
                        f'{", ".join(ROLES)}')
    if len(order) != len(outputs):
        raise HeadError(f'`outputs` names {len(order)} roles, the model has {len(outputs)} '
                        f'outputs: {listing(outputs)}')
    prototypes = placed.prototypes
    named = [i for i, role in enumerate(order) if role == 'prototypes']
    if named != ([] if prototypes is None else [prototypes.index]):
        found = 'none' if prototypes is None else repr(prototypes.info.name)
        raise HeadError(f'`outputs` gives the role prototypes to another tensor than the one '
                        f'with their grid ({found}). Found {listing(outputs)}')


def _level_by_role(stride: int, heads: Sequence[Head],
                   order: Sequence[str]) -> tuple[Level, str]:
    roles = {order[head.index]: head for head in heads}
    extra_role = next((role for role in roles if role in _EXTRA_TASK), None)
    expected = {'box', 'class'} | ({extra_role} if extra_role else set())
    if set(roles) != expected or len(heads) != len(expected):
        given = ', '.join(f'{shown(h.info.name)} {order[h.index]}' for h in heads)
        raise HeadError(f'`outputs` gives stride {stride} the roles {given}; expected one box, '
                        'one class and at most one of keypoints, coefficients and angle')
    extra = roles[extra_role] if extra_role else None
    task = _EXTRA_TASK[extra_role] if extra_role else 'detect'
    return Level(stride, roles['class'], roles['box'], extra), task


def _check_level(level: Level, task: str, prototypes: Optional[Head]) -> None:
    """Raise HeadError where a head cannot have the role that it was given."""
    box, extra = level.box_head.channels, level.extra.channels if level.extra else 0
    if box % 4:
        raise HeadError(f'the box head of stride {level.stride} has {box} channels, expected '
                        '4 * reg_max, or 4 without a distribution')
    if task == 'pose' and not key_points(extra):
        raise HeadError(f'the key point head of stride {level.stride} has {extra} channels, '
                        'expected 2 or 3 for each key point')
    if task == 'obb' and extra != 1:
        raise HeadError(f'the angle head of stride {level.stride} has {extra} channels, '
                        'expected 1')
    if task == 'segment' and (prototypes is None or prototypes.channels != extra):
        found = 'no prototypes' if prototypes is None else f'{prototypes.channels} prototypes'
        raise HeadError(f'the coefficient head of stride {level.stride} has {extra} channels '
                        f'and the model {found}; expected as many of each')
    if task != 'segment' and prototypes is not None:
        raise HeadError(f'the model has prototypes ({shown(prototypes.info.name)}), and `outputs` '
                        f'gives stride {level.stride} no coefficients')
