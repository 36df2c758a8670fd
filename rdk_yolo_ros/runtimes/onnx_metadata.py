"""
What an ONNX file's metadata says of the model.

Ultralytics' exporter writes `task`, `names`, `kpt_shape`, `end2end` and `imgsz` as the text of
Python values; `keypoint_names`, `nv12_range` and `output_quantization` are ours, JSON. The file
is not trusted: text is parsed as literals, never evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
import json
import logging
from pathlib import Path
from typing import Any, Optional

import numpy as np

from rdk_yolo_ros.colour import COLOR_RANGES
from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.detections import TASKS
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes.base import ModelMetadata

_log = logging.getLogger(__name__)

_MAX_TEXT = 1 << 20
_MAX_NAMES = 65535
# What gives the scale: itself, or a power of two.
_SCALES = ('scale', 'shift', 'exponent')
# Past it, float32 has no normal number.
_MAX_SHIFT = 126


def read_metadata(properties: Mapping[str, str], path: Path) -> ModelMetadata:
    """
    Return what the metadata says; an entry that cannot be read is logged and left out.

    Other tools use the same keys in their own ways, so that none of these may stop a start.
    """
    def understood(key: str, parse: Any) -> Any:
        if key not in properties:
            return None
        value = parse(properties[key])
        if value is None:
            _log.warning('%s: metadata %s is %s, which is not understood; ignored',
                         path, key, shown(properties[key]))
        return value

    points = understood('kpt_shape', _keypoint_shape) or (None, None)
    return ModelMetadata(
        task=understood('task', lambda text: text if text in TASKS else None),
        class_names=understood('names', _names),
        num_keypoints=points[0],
        keypoint_names=understood('keypoint_names', _keypoint_names),
        keypoint_dims=points[1],
        end_to_end=understood('end2end', {'True': True, 'true': True, 'False': False,
                                          'false': False}.get))


def nv12_range_of(properties: Mapping[str, str], path: Path) -> Optional[str]:
    """
    Return the `nv12_range` entry, or None.

    Raises:
        ModelError: it is neither 'full' nor 'limited'; to guess would shift every colour.

    """
    value = properties.get('nv12_range')
    if value is not None and value not in COLOR_RANGES:
        raise ModelError(f'{path}: metadata nv12_range is {shown(value)}, expected full or '
                         'limited')
    return value


def image_size(properties: Mapping[str, str]) -> Optional[tuple[int, int]]:
    """Return the `imgsz` entry, (height, width), or None."""
    value = _literal(properties.get('imgsz', ''))
    if _is_int(value):
        value = [value, value]
    if isinstance(value, (list, tuple)) and len(value) == 2 \
            and all(_is_int(n) and n > 0 for n in value):
        return value[0], value[1]
    return None


def quantization(properties: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]],
                 path: Path) -> dict[str, dict[str, Any]]:
    """
    Return scale, zero_point and quantize_axis of each output that has them.

    Args:
        properties: the metadata; `output_quantization` is JSON
            {output: {"scale": [...] | number, "zero_point": 0 | [...], "axis": 3}}. Instead of
            `scale`, `shift` s means 2**-s and `exponent` e (ESP-DL's word) 2**e.
        shapes: the shape of each output.
        path: the model, for messages.

    Raises:
        ModelError: not JSON, an unknown output, or figures that do not fit its shape.

    """
    text = properties.get('output_quantization')
    if text is None:
        return {}
    where = f'{path}: metadata output_quantization'
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f'{where} is not JSON: {error}') from None
    if not isinstance(table, dict):
        raise ModelError(f'{where} is {shown(table)}, expected {{output: {{"scale": ...}}}}')
    result = {}
    for name, entry in table.items():
        if name not in shapes:
            raise ModelError(f'{where} names an output {shown(name)}, expected one of '
                             f'{", ".join(shapes)}')
        result[name] = _one_quantization(entry, shapes[name], f'{where} of {shown(name)}')
    return result


def _one_quantization(entry: Any, shape: tuple[int, ...], where: str) -> dict[str, Any]:
    if not isinstance(entry, dict) or not set(entry) <= {*_SCALES, 'zero_point', 'axis'} \
            or len(set(entry) & set(_SCALES)) != 1:
        raise ModelError(f'{where} is {shown(entry)}, expected scale (or shift or exponent), and '
                         'perhaps zero_point and axis')
    key, = set(entry) & set(_SCALES)
    scale = _scale(entry[key], key, where)
    zero_point = _numbers(entry.get('zero_point', 0), f'{where}: zero_point', int)
    axis = entry.get('axis')
    if axis is not None and not (_is_int(axis) and -len(shape) <= axis < len(shape)):
        raise ModelError(f'{where}: axis is {shown(axis)}, expected an axis of shape {shape}')
    for what, values in ((key, scale), ('zero_point', zero_point)):
        if len(values) != 1 and (axis is None or shape[axis] != len(values)):
            raise ModelError(f'{where}: {what} has {len(values)} elements, which does not fit '
                             f'axis {axis} of shape {shape}; expected 1, or as many as that axis '
                             'is long')
    return {'scale': scale, 'quantize_axis': axis,
            'zero_point': zero_point.astype(np.int32) if zero_point.any() else None}


def _scale(value: Any, key: str, where: str) -> np.ndarray:
    """Return the scales that one of _SCALES stands for, float32."""
    values = _numbers(value, f'{where}: {key}', float if key == 'scale' else int)
    if key != 'scale':
        if np.abs(values).max() > _MAX_SHIFT:
            raise ModelError(f'{where}: {key} is {shown(value)}, expected whole numbers from '
                             f'{-_MAX_SHIFT} to {_MAX_SHIFT}')
        values = np.exp2(values.astype(np.float64) * (-1 if key == 'shift' else 1))
    with np.errstate(over='ignore', under='ignore'):
        scale = values.astype(np.float32)
    if not np.all(np.isfinite(scale) & (scale > 0)):
        raise ModelError(f'{where}: scale is {shown(value)}, expected finite numbers above 0')
    return scale


def _numbers(value: Any, where: str, kind: type) -> np.ndarray:
    values = value if isinstance(value, list) else [value]
    fits = _is_int if kind is int else _is_number
    limit = 2**31
    if not values or not all(fits(v) and abs(v) < limit for v in values):
        what = 'whole numbers' if kind is int else 'numbers'
        raise ModelError(f'{where} is {shown(value)}, expected {what}')
    return np.array(values, np.int64 if kind is int else np.float64)


def _names(text: str) -> Optional[tuple[str, ...]]:
    """Return class names from a JSON list, a JSON object or the text of a Python dict."""
    value = _literal(text)
    if isinstance(value, dict):
        by_text = {str(key): name for key, name in value.items()}
        numbers = [str(i) for i in range(len(value))]
        if set(by_text) != set(numbers):
            return None
        value = [by_text[number] for number in numbers]
    return _text_tuple(value)


def _keypoint_names(text: str) -> Optional[tuple[str, ...]]:
    value = _literal(text)
    if isinstance(value, dict) and value:
        value = next(iter(value.values()))  # newer exporters: {class: [names]}
    return _text_tuple(value)


def _keypoint_shape(text: str) -> Optional[tuple[int, int]]:
    value = _literal(text)
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(map(_is_int, value)) \
            and 0 < value[0] <= 1024 and value[1] in (2, 3):
        return int(value[0]), int(value[1])
    return None


def _literal(text: str) -> Any:
    """Return the JSON or Python literal that `text` is, or None."""
    if len(text) > _MAX_TEXT:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _text_tuple(value: Any) -> Optional[tuple[str, ...]]:
    if isinstance(value, (list, tuple)) and 0 < len(value) <= _MAX_NAMES \
            and all(isinstance(name, str) for name in value):
        return tuple(value)
    return None


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
