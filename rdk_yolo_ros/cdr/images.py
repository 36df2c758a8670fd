"""ImageArray and CompressedImageArray: images as arrays, with what their messages say of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class ImageArray:
    """
    A sensor_msgs/Image whose pixels are a view.

    Attributes:
        stamp: seconds and nanoseconds.
        frame_id: the coordinate frame.
        height, width: in pixels.
        encoding: as in the message.
        is_bigendian: as in the message.
        step: bytes from one row to the next.
        data: uint8 (n,), read-only.

    """

    stamp: tuple[int, int]
    frame_id: str
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: np.ndarray = field(repr=False)


@dataclass(frozen=True, eq=False)
class CompressedImageArray:
    """
    A sensor_msgs/CompressedImage whose bytes are a view.

    Attributes:
        stamp: seconds and nanoseconds.
        frame_id: the coordinate frame.
        format: as in the message.
        data: uint8 (n,), read-only.

    """

    stamp: tuple[int, int]
    frame_id: str
    format: str
    data: np.ndarray = field(repr=False)
