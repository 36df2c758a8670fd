"""Frames of TROS' shared-memory images, whose fields contradict each other in every way."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from frame_use import use
from hypothesis import strategies as st
from mutations import EDGES
import numpy as np
from target import Target

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import ENCODINGS
from rdk_yolo_ros.nodes.hbm_images import hbm_frame

_MAX_SIZE = 6000
_NUMBERS = st.one_of(st.integers(1, 60), st.sampled_from(EDGES).map(lambda n: n % 2**32))


@st.composite
def _images(draw) -> dict[str, Any]:
    encoding = draw(st.sampled_from([*ENCODINGS, '', 'x' * 12]))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    pixels = height * width
    image = {'encoding': encoding.encode().ljust(12, b'\0'), 'height': height, 'width': width,
             'step': draw(st.sampled_from([width, 0, width * 3])),
             'data_size': draw(st.sampled_from([pixels * 3 // 2, pixels * 3, pixels])),
             'color_range': draw(st.sampled_from([None, 'full', 'limited']))}
    if draw(st.integers(0, 3)) == 3:
        image['encoding'] = draw(st.binary(min_size=12, max_size=12))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        field = draw(st.sampled_from(['height', 'width', 'step', 'data_size']))
        image[field] = draw(_NUMBERS)
    return image


def _run(image: dict[str, Any]) -> None:
    fields = dict(image)
    color_range = fields.pop('color_range')
    fields['encoding'] = np.frombuffer(fields['encoding'], np.uint8)
    fields['data'] = np.resize(np.arange(251, dtype=np.uint8), _MAX_SIZE)
    use(hbm_frame(SimpleNamespace(**fields), color_range))


TARGET = Target(_images(), _run, (FrameError,))
