"""HeadLayout: a model's outputs, understood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
    """
    The heads of one stride.

    Attributes:
        stride: input pixels a cell.
        class_head: class logits.
        box_head: 4 * reg_max box numbers, the sides left, top, right, bottom.
        extra: the task's own head: key points, mask coefficients or angle; None where the task
            has none.

    """

    stride: int
    class_head: Head
    box_head: Head
    extra: Optional[Head] = None


@dataclass(frozen=True)
class Table:
    """
    One output tensor that holds a whole result, not raw heads.

    Attributes:
        index: its position among the model's outputs.
        info: its description.
        form: 'dense': a row for each anchor point: x y w h in input pixels, a probability for
            each class, then what the task adds (Ultralytics' plain export). 'end_to_end': a row
            for each instance, best first: x1 y1 x2 y2 (OBB: x y w h) in input pixels, score,
            class, then what the task adds. 'classes': one row, a number for each class.
        rows: number of rows.
        columns: numbers in a row.
        rows_first: True where the tensor is (1, rows, columns), False for (1, columns, rows).

    """

    index: int
    info: TensorInfo
    form: str
    rows: int
    columns: int
    rows_first: bool


@dataclass(frozen=True)
class HeadLayout:
    """
    A model's outputs, understood.

    Attributes:
        task: one of TASKS in `rdk_yolo_ros.detections`.
        input_hw: the model's input, pixels.
        levels: one for each stride, finest first; none where `table` holds everything.
        class_num: number of classes.
        reg_max: bins of the box distribution for each side; 1 where the box heads are plain
            distances.
        num_keypoints: key points of an instance, 0 where the task has none.
        prototypes: the mask prototypes, or None.
        keypoint_dims: numbers of a key point: 3 with visibility, 2 without.
        rules: 'v8' (YOLOv5u to 13) or 'yolo26': how key points and angles are decoded.
        nms: whether instances repeat themselves; False for one-to-one heads (YOLOv10, YOLO26).
        table: the output that holds the result, or None where `levels` do.

    """

    task: str
    input_hw: tuple[int, int]
    levels: tuple[Level, ...]
    class_num: int
    reg_max: int
    num_keypoints: int = 0
    prototypes: Optional[Head] = None
    keypoint_dims: int = 3
    rules: str = 'v8'
    nms: bool = True
    table: Optional[Table] = None

    @cached_property
    def output_count(self) -> int:
        """How many of a model's outputs it reads."""
        heads = sum(2 + (level.extra is not None) for level in self.levels)
        return heads + (self.prototypes is not None) + (self.table is not None)

    @property
    def strides(self) -> tuple[int, ...]:
        """The strides, finest first."""
        return tuple(level.stride for level in self.levels)
