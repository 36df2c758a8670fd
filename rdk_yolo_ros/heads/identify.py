"""identify_heads: from the shapes of a model's outputs to a HeadLayout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.heads.levels import read_levels
from rdk_yolo_ros.heads.reading import Known, choose, listing
from rdk_yolo_ros.heads.tables import has_table, read_table
from rdk_yolo_ros.tensors import TensorInfo

# Five strides of three heads, and prototypes.
MOST_OUTPUTS = 16
MOST_DIMENSIONS = 8


def identify_heads(outputs: Sequence[TensorInfo], input_hw: tuple[int, int],
                   task: Optional[str] = None, class_num: Optional[int] = None,
                   reg_max: Optional[int] = None, num_keypoints: Optional[int] = None,
                   order: Optional[Sequence[str]] = None, *,
                   keypoint_dims: Optional[int] = None, rules: Optional[str] = None,
                   nms: Optional[bool] = None) -> HeadLayout:
    """
    Recognise a model's heads by the shapes of its outputs.

    Args:
        outputs: the model's outputs in any order: raw heads, (1, h, w, c) or (1, c, h, w), or one
            table, perhaps with prototypes; docs/heads.md lists what is recognised.
        input_hw: the model's input height and width in pixels.
        task: one of TASKS in `rdk_yolo_ros.detections`; None takes what the outputs say.
        class_num, reg_max, num_keypoints: None takes what the outputs say. An end-to-end table
            does not say its class_num: the published checkpoints' is taken.
        order: the role of each output, in the model's own order (ROLES); settles what shapes
            cannot.
        keypoint_dims: 2 or 3 values for each key point; None takes what the outputs say.
        rules: 'v8' or 'yolo26'; None takes YOLO26's for box heads without a distribution.
        nms: whether instances repeat themselves; None takes False for YOLO26's heads and for
            end-to-end tables. False is YOLOv10, whose shapes are YOLOv8's.

    Raises:
        HeadError: the outputs are no YOLO's, lack some, or can be read in several ways.

    """
    known = Known(task, class_num, reg_max, num_keypoints, keypoint_dims, rules, nms)
    input_hw = (int(input_hw[0]), int(input_hw[1]))
    if len(outputs) > MOST_OUTPUTS:
        raise HeadError(f'the model has {len(outputs)} outputs, expected {MOST_OUTPUTS} at most: '
                        f'three heads on each stride, and prototypes. Found '
                        f'{listing(outputs[:4])} and so on')
    for info in outputs:
        if len(info.shape) > MOST_DIMENSIONS:
            raise HeadError(f'output {shown(info.name)} has {len(info.shape)} dimensions, '
                            'expected 4, or 2 or 3 for a table')
        if info.dtype.kind not in 'fiu':
            raise HeadError(f'output {shown(info.name)} is {info.dtype}, expected numbers. '
                            f'Found {listing(outputs)}')
    if has_table(outputs):
        if order is not None:
            raise HeadError('`outputs` gives roles to raw heads, and this model has a table '
                            f'instead; leave `outputs` out. Found {listing(outputs)}')
        candidates = read_table(outputs, input_hw, known)
    else:
        candidates = read_levels(outputs, input_hw, known, order)
    return choose(candidates, known, input_hw, outputs).layout(input_hw, known)
