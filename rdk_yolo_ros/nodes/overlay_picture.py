"""The overlay's picture: an image with its detections drawn on it, in the encodings asked for."""

from __future__ import annotations

from typing import Optional

import cv2
import numpy as np

from rdk_yolo_ros import colour
from rdk_yolo_ros.cdr import CompressedImageArray, ImageArray
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.drawing import ClassNames, draw_on_bgr, draw_on_nv12
from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame

ENCODINGS = ('bgr8', 'nv12')


class Picture:
    """
    A copy of a frame that is drawn on, where possible in the frame's own encoding.

    Args:
        frame: the image, left as it is.
        encoding: 'bgr8' or 'nv12'. NV12 leaves an odd last row or column out.

    Raises:
        FrameError: the frame cannot be decoded.

    """

    def __init__(self, frame: Frame, encoding: str) -> None:
        self._range = frame.color_range
        self._nv12: Optional[np.ndarray] = None
        self._bgr: Optional[np.ndarray] = None
        if encoding == 'nv12':
            self._nv12 = frame.to_nv12(self._range)
        else:
            self._bgr = frame.to_bgr()

    def draw(self, detections: Detections, names: ClassNames) -> None:
        """
        Draw detections; `names` by class number.

        Raises:
            FrameError: their masks have another size than the picture.

        """
        if self._nv12 is not None:
            y, uv = colour.split_nv12(self._nv12)
            draw_on_nv12(y, uv, detections, names, color_range=self._range)
        if self._bgr is not None:
            draw_on_bgr(self._bgr, detections, names)

    def image(self, stamp: tuple[int, int], frame_id: str) -> ImageArray:
        """Return the picture with a header; it must not be drawn on any more."""
        pixels = self._nv12 if self._nv12 is not None else self._bgr
        assert pixels is not None
        height, width = pixels.shape[:2]
        encoding, step = 'bgr8', 3 * width
        if self._nv12 is not None:
            encoding, step, height = 'nv12', width, height // 3 * 2
        data = pixels.reshape(-1)
        data.flags.writeable = False
        return ImageArray(stamp, frame_id, height, width, encoding, 0, step, data)

    def jpeg(self, stamp: tuple[int, int], frame_id: str, quality: int) -> CompressedImageArray:
        """
        Return the picture as a JPEG with a header.

        Raises:
            FrameError: OpenCV cannot encode it.

        """
        bgr = self._bgr
        if bgr is None:
            assert self._nv12 is not None
            bgr = colour.nv12_to_bgr(self._nv12, self._range)
        encoded, data = cv2.imencode('.jpg', bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))
        if not encoded:
            raise FrameError(f'a picture of {bgr.shape[1]}x{bgr.shape[0]} cannot be encoded as '
                             'JPEG, expected 65500 pixels a side at most')
        data = data.reshape(-1)
        data.flags.writeable = False
        return CompressedImageArray(stamp, frame_id, 'bgr8; jpeg compressed bgr8', data)
