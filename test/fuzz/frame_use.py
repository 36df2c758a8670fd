"""What the package does with a frame, all of it, and what must hold then."""

from __future__ import annotations

import contextlib

import numpy as np

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.letterbox import Letterbox

_MODEL_HW = (64, 96)


def use(frame: Frame) -> None:
    """Convert a frame in every way."""
    height, width = frame.hw
    assert height > 0
    assert width > 0
    assert all(not plane.size or np.shares_memory(plane, frame.data) for plane in frame.planes) \
        or frame.encoding == 'jpeg'
    bgr = frame.to_bgr()
    assert bgr.shape == (height, width, 3)
    assert bgr.dtype == np.uint8
    for color_range in ('full', 'limited'):
        try:
            nv12 = frame.to_nv12(color_range)
        except FrameError:
            assert min(frame.hw) < 2
        else:
            assert nv12.shape == (height // 2 * 3, width // 2 * 2)
    model = Letterbox.fit(frame.hw, _MODEL_HW).apply(frame)
    assert model.shape == (_MODEL_HW[0] * 3 // 2, _MODEL_HW[1])
    with contextlib.suppress(FrameError):  # too narrow to have a middle
        middle = frame.middle(_MODEL_HW)
        assert middle.to_bgr().shape == (*middle.hw, 3)
