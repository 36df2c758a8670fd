"""Bring a frame to the size and encoding that is to be published."""

from __future__ import annotations

import cv2
import numpy as np

from rdk_yolo_ros.frame import Frame

ENCODINGS = ('nv12', 'bgr8', 'jpeg')
_JPEG_QUALITY = 90


def target_size(source_hw: tuple[int, int], width: int, height: int,
                encoding: str) -> tuple[int, int]:
    """
    Return the (height, width) to publish; where `width` or `height` is 0 it follows the source.

    NV12 shares a colour between 2 x 2 pixels: there an odd size loses a column or a row.
    """
    h, w = source_hw
    if width and not height:
        height = max(1, round(h * width / w))
    elif height and not width:
        width = max(1, round(w * height / h))
    height, width = height or h, width or w
    if encoding == 'nv12':
        height, width = max(2, height // 2 * 2), max(2, width // 2 * 2)
    return height, width


def conform(frame: Frame, encoding: str = 'nv12', width: int = 0, height: int = 0,
            color_range: str = 'full') -> Frame:
    """
    Return `frame` in `encoding`, one of ENCODINGS, at width x height pixels.

    A frame that is so already is returned as it is. `color_range` is what NV12 is written in.

    Raises:
        FrameError: the frame cannot be decoded.

    """
    hw = target_size(frame.hw, width, height, encoding)
    if frame.encoding == encoding and frame.hw == hw and (
            encoding != 'nv12' or frame.color_range == color_range):
        return frame
    if encoding == 'nv12':
        if hw != target_size(frame.hw, 0, 0, encoding):
            if frame.encoding == 'nv12':
                resized = _resize_nv12(frame.to_nv12(frame.color_range), hw)
                frame = Frame.from_nv12(resized, frame.color_range)
            else:
                frame = Frame.from_bgr(_resize(frame.to_bgr(), hw))
        return Frame.from_nv12(frame.to_nv12(color_range), color_range)
    picture = _resize(frame.to_bgr(), hw)
    if encoding == 'bgr8':
        return Frame.from_bgr(picture)
    data = cv2.imencode('.jpg', picture, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))[1]
    return Frame('jpeg', hw[0], hw[1], data.reshape(-1), data.size)


def _resize_nv12(nv12: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    height, width = hw
    luma_rows = nv12.shape[0] * 2 // 3
    out = np.empty((height * 3 // 2, width), np.uint8)
    chroma = nv12[luma_rows:].reshape(luma_rows // 2, -1, 2)
    out[:height] = _resize(nv12[:luma_rows], hw)
    out[height:] = _resize(chroma, (height // 2, width // 2)).reshape(height // 2, width)
    return out


def _resize(picture: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    height, width = picture.shape[:2]
    if (height, width) == hw:
        return picture
    if 0 <= height - hw[0] <= 1 and 0 <= width - hw[1] <= 1:
        # Only made even: cut, so that no pixel moves.
        return np.ascontiguousarray(picture[:hw[0], :hw[1]])
    shrinks = hw[0] * hw[1] < height * width
    return cv2.resize(picture, (hw[1], hw[0]),
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
