"""Compressed images: what their headers say, and their pixels."""

from __future__ import annotations

import cv2
import numpy as np

from rdk_yolo_ros.errors import FrameError

JPEG_MAGIC = b'\xff\xd8'
PNG_MAGIC = b'\x89PNG\r\n\x1a\n'

# A header of a few bytes can ask a decoder for gigabytes: 64 megapixels are 192 MB of BGR.
MAX_COMPRESSED_PIXELS = 64 * 1024 * 1024

# Every scan of a progressive JPEG passes over the whole picture, and may be a few bytes long.
# libjpeg writes 10 of them.
MAX_JPEG_SCANS = 100

# SOF0..SOF15 without DHT (C4), JPG (C8) and DAC (CC), ITU-T T.81 table B.1.
_JPEG_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_END = b'\xff\xd9'
_JPEG_SCAN = b'\xff\xda'


def _checked_size(kind: str, height: int, width: int) -> tuple[int, int]:
    if not 0 < height * width <= MAX_COMPRESSED_PIXELS:
        raise FrameError(f'{kind} says that it is {width}x{height} pixels, expected 1 to '
                         f'{MAX_COMPRESSED_PIXELS}: the data are corrupt, or not a camera image')
    return height, width


def jpeg_size(data: np.ndarray) -> tuple[int, int]:
    """Return the height and width in a JPEG's header (ITU-T T.81, annex B), and see its end."""
    def number(at: int) -> int:
        return int(data[at]) << 8 | int(data[at + 1])

    at = 2
    try:
        if number(0) != 0xFFD8:
            raise FrameError(f'JPEG of {data.size} bytes begins with 0x{number(0):04x}, '
                             'expected 0xffd8: the data are not JPEG')
        while True:
            if data[at] != 0xFF:
                raise FrameError(f'JPEG has 0x{int(data[at]):02x} at byte {at} where a marker was '
                                 'expected: the data are corrupt')
            marker = int(data[at + 1])
            if marker in _JPEG_START_OF_FRAME:
                size = _checked_size('JPEG', number(at + 5), number(at + 7))
                break
            # A marker may be preceded by fill bytes; TEM and RSTn stand alone.
            alone = marker == 0x01 or 0xD0 <= marker <= 0xD7
            at += 1 if marker == 0xFF else 2 if alone else 2 + max(number(at + 2), 2)
    except IndexError:
        raise FrameError(f'JPEG of {data.size} bytes ends before its size: the data were cut '
                         'short') from None
    # OpenCV decodes the part that is there and leaves the rest grey. Drivers may pad the data.
    if data[-2:].tobytes() != _JPEG_END and data[at:].tobytes().rfind(_JPEG_END) < 0:
        raise FrameError(f'JPEG of {data.size} bytes has no end marker: the data were cut short')
    # In the pixels' own data no 0xff is followed by anything but 0 or a restart's number.
    scans = data[at:].tobytes().count(_JPEG_SCAN)
    if scans > MAX_JPEG_SCANS:
        raise FrameError(f'JPEG of {data.size} bytes has {scans} scans, expected at most '
                         f'{MAX_JPEG_SCANS}: the data are corrupt, or not a camera image')
    return size


def decode(kind: str, data: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Decode a compressed image that its header says is hw, as BGR, uint8 (h, w, 3)."""
    try:
        # The pixels as they are stored: an EXIF rotation would contradict the header's size.
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise FrameError(f'{kind} of {data.size} bytes cannot be decoded: {error}') from error
    if pixels is None or pixels.shape[:2] != hw:
        raise FrameError(f'{kind} of {data.size} bytes cannot be decoded: the data are corrupt')
    return pixels


def decode_png(data: np.ndarray) -> np.ndarray:
    """Decode a PNG as BGR, uint8 (h, w, 3)."""
    header = data[:25].tobytes()
    if len(header) < 25:
        raise FrameError(f'PNG of {data.size} bytes ends in its header: the data were cut short')
    width, height = (int.from_bytes(header[at:at + 4], 'big') for at in (16, 20))
    if header[24] == 16:
        raise FrameError('PNG has 16 bits a channel, expected 8: depth images are not for YOLO')
    hw = _checked_size('PNG', height, width)
    return decode('PNG', _without_texts(data), hw)


def _without_texts(data: np.ndarray) -> np.ndarray:
    """
    Return a PNG's critical chunks (PNG, section 5.4) alone: no pixel depends on the others.

    A text of a few kilobytes unpacks to megabytes, and there may be a thousand of them.
    """
    chunks, at = [data[:8]], 8
    while at + 12 <= data.size:
        length = int.from_bytes(data[at:at + 4].tobytes(), 'big')
        # The fifth bit of a chunk's name, a small first letter, says that it may be left out.
        if not data[at + 4] & 0x20:
            chunks.append(data[at:at + 12 + length])
        at += 12 + length
    return np.concatenate(chunks)
