"""The readers of serialised images on bytes that were a message until they were changed."""

from __future__ import annotations

from typing import Any

import cv2
from frame_use import use
from hypothesis import strategies as st
from mutations import EDGES, mutated
import numpy as np
from target import Target

from rdk_yolo_ros import cdr
from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame


def _pixels(size: int) -> np.ndarray:
    return np.resize(np.arange(251, dtype=np.uint8), size)


def _messages() -> list[bytes]:
    images = [cdr.write_image(cdr.ImageArray((12, 34), frame_id, 8, 12, encoding, 0, step,
                                             _pixels(rows * step)))
              for encoding, rows, step in (('nv12', 12, 12), ('bgr8', 8, 36), ('yuv422', 8, 24),
                                           ('mono8', 8, 12), ('16UC1', 8, 24))
              for frame_id in ('camera', '', 'ä' * 5)]
    jpeg = cv2.imencode('.jpg', _pixels(8 * 12 * 3).reshape(8, 12, 3))[1].reshape(-1)
    compressed = cdr.write_compressed_image(
        cdr.CompressedImageArray((12, 34), 'camera', 'bgr8; jpeg', jpeg))
    # A big-endian encapsulation in front of little-endian numbers: lengths of gigabytes.
    return [*images, compressed, b'\0\0' + images[0][2:], b'\0\0\0\0', b'\0\1\0\0', b'']


@st.composite
def _big_endian(draw) -> bytes:
    """Draw an image in the other byte order, with fields of any size."""
    edges = st.one_of(st.integers(0, 20), st.sampled_from(EDGES).map(lambda n: n % 2**32))
    out = bytearray()

    def number(value: int) -> None:
        out.extend(bytes(-len(out) % 4) + value.to_bytes(4, 'big'))

    def text(value: bytes) -> None:
        number(draw(st.one_of(st.just(len(value)), edges)))
        out.extend(value)

    number(draw(edges))
    number(draw(edges))
    text(draw(st.binary(max_size=9)))
    number(draw(edges))
    number(draw(edges))
    text(draw(st.sampled_from([b'nv12\0', b'bgr8\0', b'mono8\0', b'', b'\xff'])))
    out.append(draw(st.integers(0, 255)))
    number(draw(edges))
    text(draw(st.binary(max_size=60)))
    return b'\0\0\0\0' + bytes(out)


_READERS = {'image': cdr.read_image, 'compressed': cdr.read_compressed_image,
            'stamp': cdr.read_stamp}
_EXAMPLES = st.fixed_dictionaries({
    'reader': st.sampled_from(sorted(_READERS)), 'kind': st.sampled_from(['bytes', 'bytearray']),
    'data': st.one_of(mutated(_messages()), mutated(_messages(), most=1), _big_endian(),
                      st.binary(max_size=100).map(lambda tail: b'\0\1\0\0' + tail))})


def _run(example: dict[str, Any]) -> None:
    data = example['data']
    buffer = data if example['kind'] == 'bytes' else bytearray(data)
    result = _READERS[example['reader']](buffer)
    if example['reader'] == 'stamp':
        seconds, nanoseconds, frame_id = result
        assert isinstance(frame_id, str)
        assert -2**31 <= seconds < 2**31
        assert 0 <= nanoseconds < 2**32
        return
    assert result.data.size <= len(data)
    assert not result.data.flags.writeable
    use(Frame.from_image(result) if example['reader'] == 'image'
        else Frame.from_compressed(result))


TARGET = Target(_EXAMPLES, _run, (FrameError,))
