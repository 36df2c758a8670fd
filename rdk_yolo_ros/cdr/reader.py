"""CdrReader: the fields of a serialised message, one after the other."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from rdk_yolo_ros.errors import FrameError

# The encapsulation: kind, as two bytes of which the first is 0, and two bytes of options.
HEADER_BYTES = 4
_BIG_ENDIAN, _LITTLE_ENDIAN = 0, 1

_Format = tuple[struct.Struct, int]  # and the alignment


class CdrReader:
    """
    Reads fields in the order in which the message's type has them, in either byte order.

    Nothing is allocated that the buffer does not hold, whatever the lengths in it claim. What
    follows the last field is ignored, as some middlewares pad messages.

    Args:
        buffer: the message with its encapsulation, any buffer of bytes.
        what: what the message is called in an error, 'image' for example.

    Raises:
        FrameError: from every method, where the buffer ends too early; from the constructor,
            where it is no plain CDR.

    """

    def __init__(self, buffer: Any, what: str) -> None:
        self._what = what
        view = memoryview(buffer)
        self._size = view.nbytes
        if self._size < HEADER_BYTES:
            raise FrameError(f'serialised {what} has {self._size} bytes, expected {HEADER_BYTES} '
                             'or more: check the publisher')
        self._view = view = view.cast('B')
        if view[0] != 0 or view[1] not in (_BIG_ENDIAN, _LITTLE_ENDIAN):
            raise FrameError(f'serialised {what} begins with {bytes(view[:2]).hex(" ")}, expected '
                             '00 00 or 00 01, plain CDR: check the publisher and its middleware')
        self._formats = _FORMATS[view[1]]
        self._at = HEADER_BYTES

    def int32(self, name: str) -> int:
        """Return the next field, an int32."""
        return self._number('int32', name)

    def uint32(self, name: str) -> int:
        """Return the next field, a uint32."""
        return self._number('uint32', name)

    def uint8(self, name: str) -> int:
        """Return the next field, a uint8."""
        return self._number('uint8', name)

    def string(self, name: str) -> str:
        """
        Return the next field, a string: up to a NUL in it, and U+FFFD for what is no UTF-8.

        So does rclpy.
        """
        start, stop = self._sequence(name)
        return bytes(self._view[start:stop]).partition(b'\0')[0].decode('utf-8', 'replace')

    def uint8s(self, name: str) -> np.ndarray:
        """Return the next field, a sequence of uint8, as a read-only view on the buffer, (n,)."""
        start, stop = self._sequence(name)
        values = np.frombuffer(self._view, np.uint8)[start:stop]
        values.flags.writeable = False
        return values

    def _number(self, kind: str, name: str) -> int:
        format_, size = self._formats[kind]
        # Fields are aligned to their own size, counted from behind the encapsulation, whose size
        # is aligned for all of these.
        at = -(-self._at // size) * size
        self._at = at + size
        if self._at > self._size:
            raise self._cut_short(name, size)
        return format_.unpack_from(self._view, at)[0]

    def _sequence(self, name: str) -> tuple[int, int]:
        length = self.uint32(name)
        start = self._at
        self._at += length
        if self._at > self._size:
            raise self._cut_short(name, length)
        return start, self._at

    def _cut_short(self, name: str, size: int) -> FrameError:
        return FrameError(f'serialised {self._what} has {self._size} bytes and ends in its '
                          f'{name}, expected {self._at} or more, {size} of them for that: the '
                          'data were cut short, or are of another type; check the publisher')


def _formats(order: str) -> dict[str, _Format]:
    return {name: (struct.Struct(order + code), struct.calcsize(order + code))
            for name, code in (('uint8', 'B'), ('int32', 'i'), ('uint32', 'I'))}


_FORMATS = {_BIG_ENDIAN: _formats('>'), _LITTLE_ENDIAN: _formats('<')}
