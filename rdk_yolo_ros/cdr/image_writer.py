"""Images to the bytes that DDS carries: a head in front of the pixels, which are copied once."""

from __future__ import annotations

from functools import lru_cache
import struct
from typing import Union

import numpy as np

from rdk_yolo_ros.cdr.images import CompressedImageArray, ImageArray

_ENCAPSULATION = b'\0\1\0\0'  # plain CDR, little-endian
_STAMP = struct.Struct('<iI')


def serialized_image(image: Union[ImageArray, CompressedImageArray]) -> bytes:
    """
    Return an image as a serialised sensor_msgs/Image or CompressedImage.

    Its publisher's `publish` takes them. The pixels are copied once; `image.data` is uint8 (n,),
    of adjacent bytes.
    """
    if isinstance(image, ImageArray):
        tail = _image_tail(image.frame_id, image.height, image.width, image.encoding,
                           image.is_bigendian, image.step, image.data.size)
    else:
        tail = _compressed_tail(image.frame_id, image.format, image.data.size)
    return b''.join((_ENCAPSULATION, _STAMP.pack(*image.stamp), tail,
                     np.ascontiguousarray(image.data).data))


@lru_cache(maxsize=64)
def _image_tail(frame_id: str, height: int, width: int, encoding: str, is_bigendian: int,
                step: int, size: int) -> bytes:
    """Return what lies between the stamp and the pixels; the same for every image of a camera."""
    at = len(_ENCAPSULATION) + _STAMP.size
    head = _string(frame_id)
    head += _padding(at + len(head)) + struct.pack('<II', height, width) + _string(encoding)
    head += struct.pack('<B', is_bigendian)
    return head + _padding(at + len(head)) + struct.pack('<II', step, size)


@lru_cache(maxsize=64)
def _compressed_tail(frame_id: str, format_: str, size: int) -> bytes:
    at = len(_ENCAPSULATION) + _STAMP.size
    head = _string(frame_id)
    head += _padding(at + len(head)) + _string(format_)
    return head + _padding(at + len(head)) + struct.pack('<I', size)


def _string(text: str) -> bytes:
    encoded = text.encode('utf-8')
    return struct.pack('<I', len(encoded) + 1) + encoded + b'\0'


def _padding(at: int) -> bytes:
    """Return what aligns the next number of 4 bytes; the encapsulation has 4 itself."""
    return bytes(-at % 4)
