"""CdrWriter: a serialised message, field after field."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

# Plain CDR, little-endian, no options.
ENCAPSULATION = b'\0\1\0\0'


class CdrWriter:
    """
    Writes fields in the order in which the message's type has them, little-endian.

    What rmw writes is the same but for the bytes between fields, which are 0 here and there
    whatever the memory held before.
    """

    def __init__(self) -> None:
        self._parts: list[Any] = []  # buffers of bytes
        self._size = 0  # the encapsulation does not count: fields are aligned from behind it

    def header(self, stamp: tuple[int, int], frame_id: str) -> None:
        """Write a std_msgs/Header, the first field: seconds and nanoseconds, and the frame."""
        header = header_bytes(stamp, frame_id)
        self._add(header, len(header))

    def uint8(self, value: int) -> None:
        """Write a uint8, or a bool."""
        self._number('<B', value)

    def uint16(self, value: int) -> None:
        """Write a uint16."""
        self._number('<H', value)

    def uint32(self, value: int) -> None:
        """Write a uint32, or the length of a sequence."""
        self._number('<I', value)

    def float32(self, value: float) -> None:
        """Write a float32."""
        self._number('<f', value)

    def float64(self, value: float) -> None:
        """Write a float64."""
        self._number('<d', value)

    def string(self, value: str) -> None:
        """
        Write a string, up to a NUL in it, as rclpy does.

        Raises:
            UnicodeEncodeError: it has half a surrogate pair in it.

        """
        text = _text(value)
        self.uint32(len(text))
        self._add(text, len(text))

    def uint8s(self, values: np.ndarray) -> None:
        """Write the bytes of a contiguous array, any shape and type, as a sequence of uint8."""
        view = values.reshape(-1).view(np.uint8)
        self.uint32(view.size)
        self._add(view, view.size)

    def align(self, size: int) -> None:
        """Fill up to a multiple of `size` bytes."""
        padding = -self._size % size
        if padding:
            self._add(bytes(padding), padding)

    def body(self) -> bytes:
        """Return the fields without the encapsulation."""
        return b''.join(self._parts)

    def message(self) -> bytes:
        """Return the whole message, as a publisher takes it."""
        return b''.join((ENCAPSULATION, *self._parts))

    def _number(self, code: str, value: float) -> None:
        size = struct.calcsize(code)
        self.align(size)
        self._add(struct.pack(code, value), size)

    def _add(self, part: Any, size: int) -> None:
        self._parts.append(part)
        self._size += size


def header_bytes(stamp: tuple[int, int], frame_id: str) -> bytes:
    """
    Return a serialised std_msgs/Header: seconds and nanoseconds, and the frame.

    It is filled up to a multiple of 4 bytes, which every field that follows a header needs.
    """
    text = _text(frame_id)
    return _STAMP_AND_LENGTH.pack(*stamp, len(text)) + text + bytes(-len(text) % 4)


def _text(value: str) -> bytes:
    return value.encode().partition(b'\0')[0] + b'\0'


_STAMP_AND_LENGTH = struct.Struct('<iII')
