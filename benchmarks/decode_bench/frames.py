"""The frames that are decoded: objects planted in noise, the same ones on every run."""

from __future__ import annotations

from pathlib import Path
import sys

import numpy as np

from rdk_yolo_ros.tensors import TensorInfo

sys.path.insert(0, str(Path(__file__).parents[2] / 'test' / 'unit'))
from head_tensors import STRIDES, as_outputs, planted_heads  # noqa: E402

# The heads of each stride, in the model zoo's order.
ROLES = {'detect': ('class', 'box'), 'segment': ('class', 'box', 'coefficients'),
         'pose': ('class', 'box', 'keypoints'), 'obb': ('class', 'box', 'angle')}


def make_heads(task: str, class_num: int, input_hw: tuple[int, int],
               objects: int) -> dict[tuple[str, int], np.ndarray]:
    """Return {(role, stride): float32 (h, w, c)}; the number of objects is the seed, too."""
    return planted_heads(np.random.default_rng(objects), task, input_hw, class_num, objects)


def model_outputs(heads: dict[tuple[str, int], np.ndarray],
                  task: str) -> tuple[list[TensorInfo], list[np.ndarray]]:
    """Return the heads as a model's outputs, in the model zoo's order of a task."""
    order = [(role, s) for s in STRIDES for role in ROLES[task]]
    return as_outputs(heads, order + ([('prototypes', 4)] if task == 'segment' else []))
