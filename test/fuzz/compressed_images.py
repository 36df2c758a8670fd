"""Frame.from_compressed on JPEG and PNG files that were changed, and on other bytes."""

from __future__ import annotations

from types import SimpleNamespace
import zlib

import cv2
from frame_use import use
from hypothesis import strategies as st
from mutations import mutated
import numpy as np
from target import Target

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame


def _encoded() -> list[bytes]:
    rows, columns = np.mgrid[:41, :56]
    colour = np.stack([rows * 6, columns * 4, rows + columns], axis=-1).astype(np.uint8)
    grey, alpha = colour[..., 0], np.dstack([colour, colour[..., 1]])
    jpeg = ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
            [cv2.IMWRITE_JPEG_QUALITY, 5, cv2.IMWRITE_JPEG_OPTIMIZE, 1])
    made = [cv2.imencode('.jpg', picture, options) for picture in (colour, grey)
            for options in jpeg]
    made += [cv2.imencode('.png', picture) for picture in
             (colour, grey, alpha, grey.astype(np.uint16) * 257)]
    made.append(cv2.imencode('.png', grey, [cv2.IMWRITE_PNG_BILEVEL, 1]))
    return [data.tobytes() for _, data in made]


def _many_scans(side: int, scans: int) -> bytes:
    """Return a small progressive JPEG that describes a large picture and many passes over it."""
    data = bytearray(_encoded()[1])
    size_at = data.index(b'\xff\xc2') + 5
    data[size_at:size_at + 4] = side.to_bytes(2, 'big') * 2
    begin = data.index(b'\xff\xda')
    end = data.index(b'\xff', begin + 2)
    return bytes(data[:begin] + data[begin:end] * scans + b'\xff\xd9')


def _many_texts(count: int) -> bytes:
    """Return a small PNG with texts that unpack to 8 MB each."""
    picture = cv2.imencode('.png', np.zeros((16, 16, 3), np.uint8))[1].tobytes()
    body = b'zTXt' + b'title\0\0' + zlib.compress(bytes(7_900_000), 9)
    text = (len(body) - 4).to_bytes(4, 'big') + body + zlib.crc32(body).to_bytes(4, 'big')
    header_end = 8 + 12 + 13
    return picture[:header_end] + text * count + picture[header_end:]


_FORMATS = st.one_of(st.sampled_from(['jpeg', 'png', 'bgr8; jpeg compressed bgr8', '']),
                     st.text(max_size=30))
_FILES = _encoded()
_EXAMPLES = st.fixed_dictionaries({
    'format': _FORMATS,
    'data': st.one_of(mutated(_FILES), mutated(_FILES, most=1), st.binary(max_size=400).map(
        lambda tail: b'\xff\xd8' + tail), st.binary(max_size=400))})


def _run(image: dict) -> None:
    data = np.frombuffer(image['data'], np.uint8)
    use(Frame.from_compressed(SimpleNamespace(format=image['format'], data=data)))


TARGET = Target(_EXAMPLES, _run, (FrameError,), explicit=(
    {'format': 'jpeg', 'data': _many_scans(8000, 20_000)},
    {'format': 'png', 'data': _many_texts(600)},
    {'format': 'x' * 100_000, 'data': b'neither'},
))
