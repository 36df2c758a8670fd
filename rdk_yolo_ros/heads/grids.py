"""On which stride each output lies: its grid says so, in NHWC or NCHW."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.head_layout import Head
from rdk_yolo_ros.heads.reading import listing
from rdk_yolo_ros.tensors import TensorInfo

# Every model has these; P2 models add 4, P6 models 64.
STRIDES = (8, 16, 32)
ALL_STRIDES = (4, *STRIDES, 64)
# Prototypes have twice the resolution of the finest level.
PROTOTYPE_STRIDES = (2, 4)


@dataclass(frozen=True)
class Placed:
    """The outputs of a model by the stride that their grids tell, and its prototypes."""

    heads: dict[int, list[Head]]
    prototypes: Optional[Head]


def grid_of(input_hw: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return (rows, columns) of cells at a stride."""
    return input_hw[0] // stride, input_hw[1] // stride


def heads_on(index: int, info: TensorInfo, input_hw: tuple[int, int],
             strides: Sequence[int]) -> Iterator[tuple[int, Head]]:
    """Yield (stride, head) for each way in which an output lies on one of the strides."""
    if len(info.shape) != 4 or info.shape[0] != 1:
        return
    _, a, b, c = info.shape
    for grid, channels, channels_last in (((a, b), c, True), ((b, c), a, False)):
        for stride in strides:
            if grid == grid_of(input_hw, stride) and min(*grid, channels) > 0:
                yield stride, Head(index, info, grid, channels, channels_last)


def place(outputs: Sequence[TensorInfo], input_hw: tuple[int, int]) -> list[Placed]:
    """
    Put every output on the stride whose grid it has, in each way that is possible.

    A model's heads are all NHWC or all NCHW; where that cannot be, each goes by itself. The
    prototypes may differ from the heads: they come from another part of the network.

    Raises:
        HeadError: an output has no YOLO grid, or a stride has no output.

    """
    options = [list(heads_on(i, info, input_hw, (2, *ALL_STRIDES)))
               for i, info in enumerate(outputs)]
    _check_all_placed(options, outputs, input_hw)
    found, complaints = [], []
    for channels_last in (True, False):
        picked = [_pick(choices, channels_last) for choices in options]
        if None not in picked:
            try:
                found.append(_grouped([p for p in picked if p], outputs, input_hw))
            except HeadError as error:
                complaints.append(error)
    if not found:
        try:
            found.append(_grouped([choices[0] for choices in options], outputs, input_hw))
        except HeadError as error:
            raise (complaints or [error])[0] from None
    return found


def _pick(choices: list[tuple[int, Head]], channels_last: bool) -> Optional[tuple[int, Head]]:
    for stride, head in choices:
        if head.channels_last == channels_last:
            return stride, head
    return next((c for c in choices if c[0] in PROTOTYPE_STRIDES), None)


def _check_all_placed(options: Sequence[list[tuple[int, Head]]], outputs: Sequence[TensorInfo],
                      input_hw: tuple[int, int]) -> None:
    height, width = input_hw
    stray = [info for info, choices in zip(outputs, options) if not choices]
    if not stray:
        return
    grids = ', '.join('x'.join(map(str, grid_of(input_hw, s))) for s in (4, *STRIDES))
    if len(stray) == len(outputs):
        raise HeadError(
            f'the outputs look like no YOLO: none has a grid of the {height}x{width} input '
            f'({grids}), none is a table of boxes or of classes. Found {listing(outputs)}')
    info = stray[0]
    raise HeadError(
        f'output {shown(info.name)} with shape {info.shape} is no YOLO head: its grid should be '
        f'one of {grids} for the {height}x{width} input. Export the model with its heads as '
        f'separate outputs. Found {listing(outputs)}')


def _grouped(picked: Sequence[tuple[int, Head]], outputs: Sequence[TensorInfo],
             input_hw: tuple[int, int]) -> Placed:
    heads: dict[int, list[Head]] = {}
    for stride, head in picked:
        heads.setdefault(stride, []).append(head)
    # A level has a box and a class head at least, so that one output alone is the prototypes.
    fine = heads.pop(2, []) or (heads.pop(4) if len(heads.get(4, ())) == 1 else [])
    if len(fine) > 1:
        raise HeadError(f'{len(fine)} outputs have the grid of mask prototypes, expected one: '
                        + ', '.join(repr(head.info.name) for head in fine))
    for stride in STRIDES:
        if stride not in heads:
            grid = 'x'.join(map(str, grid_of(input_hw, stride)))
            raise HeadError(f'no output has the grid of stride {stride} ({grid}): the box and '
                            f'class heads of that stride are missing. Found {listing(outputs)}')
    if fine:
        expected = grid_of(input_hw, min(heads) // 2)
        if fine[0].grid_hw != expected:
            raise HeadError(
                f'output {shown(fine[0].info.name)} has a grid of '
                f'{"x".join(map(str, fine[0].grid_hw))}, expected '
                f'{"x".join(map(str, expected))} for mask prototypes: twice the '
                f'resolution of the finest level, stride {min(heads)}. Found {listing(outputs)}')
    return Placed(dict(sorted(heads.items())), fine[0] if fine else None)
