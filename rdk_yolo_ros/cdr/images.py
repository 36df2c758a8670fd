"""Images as arrays: serialised sensor_msgs/Image and CompressedImage, read and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rdk_yolo_ros.cdr.reader import CdrReader
from rdk_yolo_ros.cdr.writer import CdrWriter


@dataclass(frozen=True, eq=False)
class ImageArray:
    """
    A sensor_msgs/Image with its pixels in an array; `Frame.from_image` takes it as it takes one.

    Attributes:
        stamp: seconds and nanoseconds.
        frame_id: the camera's coordinate frame.
        height, width: in pixels.
        encoding: as the publisher spells it.
        is_bigendian: 0, or other than 0 where the pixels are big-endian.
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
    A sensor_msgs/CompressedImage with its data in an array; `Frame.from_compressed` takes it.

    Attributes:
        stamp: seconds and nanoseconds.
        frame_id: the camera's coordinate frame.
        format: as the publisher spells it, 'jpeg' for example.
        data: uint8 (n,), read-only.

    """

    stamp: tuple[int, int]
    frame_id: str
    format: str
    data: np.ndarray = field(repr=False)


def read_image(buffer: Any) -> ImageArray:
    """
    Return a serialised sensor_msgs/Image, its pixels as a view on the buffer.

    Args:
        buffer: the message as DDS carries it, with the encapsulation, in either byte order.

    Raises:
        FrameError: the buffer is no such message, or was cut short.

    """
    reader = CdrReader(buffer, 'image')
    stamp, frame_id = _header(reader)
    height, width = reader.uint32('height'), reader.uint32('width')
    encoding = reader.string('encoding')
    is_bigendian, step = reader.uint8('is_bigendian'), reader.uint32('step')
    return ImageArray(stamp, frame_id, height, width, encoding, is_bigendian, step,
                      reader.uint8s('data'))


def read_compressed_image(buffer: Any) -> CompressedImageArray:
    """
    Return a serialised sensor_msgs/CompressedImage, its data as a view on the buffer.

    Args:
        buffer: as for `read_image`.

    Raises:
        FrameError: the buffer is no such message, or was cut short.

    """
    reader = CdrReader(buffer, 'compressed image')
    stamp, frame_id = _header(reader)
    return CompressedImageArray(stamp, frame_id, reader.string('format'), reader.uint8s('data'))


def write_image(image: ImageArray) -> bytes:
    """Return a serialised sensor_msgs/Image; `image.data` is contiguous, and copied once."""
    writer = CdrWriter()
    writer.header(image.stamp, image.frame_id)
    writer.uint32(image.height)
    writer.uint32(image.width)
    writer.string(image.encoding)
    writer.uint8(image.is_bigendian)
    writer.uint32(image.step)
    writer.uint8s(image.data)
    return writer.message()


def write_compressed_image(image: CompressedImageArray) -> bytes:
    """Return a serialised CompressedImage; `image.data` is contiguous, and copied once."""
    writer = CdrWriter()
    writer.header(image.stamp, image.frame_id)
    writer.string(image.format)
    writer.uint8s(image.data)
    return writer.message()


def read_stamp(buffer: Any) -> tuple[int, int, str]:
    """
    Return seconds, nanoseconds and frame_id of any serialised message that begins with a header.

    Raises:
        FrameError: the buffer is no such message, or was cut short.

    """
    (seconds, nanoseconds), frame_id = _header(CdrReader(buffer, 'message'))
    return seconds, nanoseconds, frame_id


def _header(reader: CdrReader) -> tuple[tuple[int, int], str]:
    stamp = reader.int32('stamp'), reader.uint32('stamp')
    return stamp, reader.string('frame_id')
