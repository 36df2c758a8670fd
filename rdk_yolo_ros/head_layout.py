"""HeadLayout: a model's outputs, understood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from rdk_yolo_ros.tensors import TensorInfo


@dataclass(frozen=True)
class Head:
    """
    One output tensor in its role.

    Attributes:
        index: its position among the model's outputs.
        info: its description.
        grid_hw: cells down and across.
        channels: values in a cell.
        channels_last: True for NHWC, False for NCHW.

    """

    index: int
    info: TensorInfo
    grid_hw: tuple[int, int]
    channels: int
    channels_last: bool


@dataclass(frozen=True)
class Level:
    """The heads of one stride; `extra` is the key point or mask coefficient head, or None."""

    stride: int
    class_head: Head
    box_head: Head
    extra: Optional[Head] = None


@dataclass(frozen=True)
class HeadLayout:
    """
    A model's outputs, understood.

    Attributes:
        task: 'detect', 'segment' or 'pose'.
        input_hw: the model's input, pixels.
        levels: one for each stride, finest first.
        class_num: number of classes.
        reg_max: bins of the box distribution for each side.
        num_keypoints: key points of an instance, 0 where the task has none.
        prototypes: the mask prototypes, or None.

    """

    task: str
    input_hw: tuple[int, int]
    levels: tuple[Level, ...]
    class_num: int
    reg_max: int
    num_keypoints: int = 0
    prototypes: Optional[Head] = None

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides, finest first."""
        return tuple(level.stride for level in self.levels)
