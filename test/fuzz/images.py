"""Frame.from_image on arbitrary fields of a sensor_msgs/Image, many of them nearly right."""

from __future__ import annotations

import array
from types import SimpleNamespace
from typing import Any

from frame_use import use
from hypothesis import strategies as st
from mutations import EDGES
import numpy as np
from target import Target

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import ENCODINGS, Frame

_KINDS = {'array': lambda data: array.array('B', data), 'bytes': bytes, 'list': list,
          'numpy': lambda data: np.frombuffer(data, np.uint8),
          'words': lambda data: np.frombuffer(data + bytes(-len(data) % 4), np.uint32),
          'strided': lambda data: np.frombuffer(data, np.uint8)[::2],
          'text': lambda data: data.decode('latin-1'), 'nothing': lambda data: None,
          'numbers': lambda data: [300] * len(data)}
_ENCODINGS = st.one_of(st.sampled_from([*ENCODINGS]), st.sampled_from([*ENCODINGS]), st.one_of(
    st.sampled_from(['NV12', '16UC1', 'bayer_rggb8', '']), st.text(max_size=90)))
_SIZES = st.one_of(st.integers(1, 20), st.integers(1, 300), st.sampled_from([639, 640, 70000]))


@st.composite
def _images(draw) -> dict[str, Any]:
    encoding = draw(_ENCODINGS)
    height, width = draw(_SIZES), draw(_SIZES)
    if height * width > 200_000:
        height = 2
    short = ENCODINGS.get(encoding, '')
    row = width * {'uyvy': 2, 'yuyv': 2, 'bgr8': 3, 'rgb8': 3}.get(short, 1)
    step = row + draw(st.sampled_from([0, 0, 0, 0, 0, 1, 2, 63, -1]))
    rows = height + (height + 1) // 2 if short in ('nv12', 'nv21') else height
    size = max(0, rows * step + draw(st.sampled_from([0, 0, 0, 0, 0, 1, -1, -step, step])))
    image = {'encoding': encoding, 'height': height, 'width': width, 'step': step,
             'size': size, 'kind': draw(st.sampled_from(['array'] * 20 + list(_KINDS))),
             'is_bigendian': draw(st.integers(0, 255)),
             'color_range': draw(st.sampled_from([None, 'full', 'limited']))}
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        field = draw(st.sampled_from(['height', 'width', 'step', 'size']))
        image[field] = draw(st.one_of(st.integers(-3, 700), st.sampled_from(EDGES)))
    image['size'] = min(max(0, image['size']), 1_000_000)
    return image


def _run(image: dict[str, Any]) -> None:
    fields = dict(image)
    data = np.resize(np.arange(251, dtype=np.uint8), fields.pop('size')).tobytes()
    fields['data'] = _KINDS[fields.pop('kind')](data)
    color_range = fields.pop('color_range')
    use(Frame.from_image(SimpleNamespace(**fields), color_range))


TARGET = Target(_images(), _run, (FrameError,))
