"""What an ONNX file's metadata says, as arbitrary text in the keys that are read."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import strategies as st
from mutations import mutated
from target import Target

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes.onnx_metadata import (
    image_size,
    nv12_range_of,
    quantization,
    read_metadata,
)
from rdk_yolo_ros.tensors import TensorInfo

_SHAPES = {'output0': (1, 84, 8400), 'a': (1, 80, 80, 64), 'b': (1, 2)}
_KEYS = ('task', 'names', 'kpt_shape', 'end2end', 'imgsz', 'keypoint_names', 'nv12_range',
         'output_quantization')
_TEXTS = [text.encode() for text in (
    'detect', "{0: 'person', 1: 'bicycle'}", '["person", "bicycle"]', '[17, 3]', '(17, 3)', 'True',
    '[640, 640]', '640', "{0: ['nose', 'eye']}", 'limited', '__import__("os").getcwd()',
    '{"output0": {"scale": 0.1}}', '{"a": {"shift": [1, 2], "axis": 3, "zero_point": [0, 1]}}',
    '{"b": {"exponent": [1, 2], "axis": -1, "zero_point": 3}}', '{"b": {"scale": [NaN, 1e39]}}',
    '{"b": {"scale": 1e-46, "axis": null}}', '[' * 300, '-' * 300 + '1', '{' * 300, "b'x'", '1j')]
_NUMBERS = st.one_of(st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=3))
_ENTRY = st.dictionaries(
    st.sampled_from(['scale', 'shift', 'exponent', 'zero_point', 'axis', 'other']),
    st.one_of(_NUMBERS, st.lists(_NUMBERS, max_size=3), st.integers(-4, 4),
              st.just([1] * 64), st.floats(1e-6, 1)), max_size=3)
_QUANTIZATION = st.dictionaries(
    st.sampled_from([*_SHAPES, 'x']), _ENTRY, max_size=3).map(json.dumps)
_TEXT = st.one_of(mutated(_TEXTS).map(lambda data: data.decode('utf-8', 'replace')),
                  st.text(max_size=40), st.sampled_from(_TEXTS).map(bytes.decode))


def _run(properties: dict[str, str]) -> None:
    path = Path('model.onnx')
    metadata = read_metadata(properties, path)
    assert metadata.class_names is None or all(isinstance(n, str) for n in metadata.class_names)
    size = image_size(properties)
    assert size is None or min(size) > 0
    nv12_range_of(properties, path)
    for name, values in quantization(properties, _SHAPES, path).items():
        TensorInfo(name, _SHAPES[name], 'i1', **values)


TARGET = Target(
    st.fixed_dictionaries({}, optional={
        **dict.fromkeys(_KEYS, _TEXT), 'output_quantization': st.one_of(_QUANTIZATION, _TEXT)}),
    _run, (ModelError,), explicit=tuple(
        {key: text * 100_000} for key in ('names', 'imgsz', 'output_quantization')
        for text in ('[', '(', '-', '{', '{1:', '9', '1+', 'a.', '"', '~', 'not ', '1,', '[1,')))
