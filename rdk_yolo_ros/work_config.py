"""
WorkConfig: which model to run and how to read its outputs, from a JSON or YAML file.

The keys are those of D-Robotics' dnn_node_example, whose files work unchanged, and a few of
our own: docs/work_config.md lists them. `work_config.schema.json` is their one definition; the
loader checks against it, and editors complete from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import difflib
from functools import cache
from importlib import resources
import json
import logging
import os
from pathlib import Path
from typing import Any, Optional, Union

import jsonschema

from rdk_yolo_ros.config_text import read_mapping, read_text, shown, shown_key
from rdk_yolo_ros.errors import WorkConfigError
from rdk_yolo_ros.share import find_file

_log = logging.getLogger(__name__)

SCHEMA_NAME = 'work_config.schema.json'

# What dnn_Parser says of the task.
_PARSER_TASK = {'yolov8': 'detect', 'yolov10': 'detect', 'ultralytics_yolo': 'detect',
                'yolov8_seg': 'segment', 'yolo26_seg': 'segment', 'yolo26e_seg': 'segment',
                'classification': 'classify'}
_ANCHOR_PARSERS = ('yolov2', 'yolov3', 'yolov5', 'yolov5x')
_OTHER_PARSERS = ('ssd', 'fcos', 'efficient_det', 'unet')
# The compiler's words (input_space_and_range) for how a model reads NV12.
_NV12_RANGE = {'regular': 'full', 'bt601_video': 'limited'}
_MAX_FAULTS = 3


@dataclass(frozen=True)
class WorkConfig:
    """
    A work configuration, checked.

    None stands for a key that the file leaves out and the model itself can tell.

    Attributes:
        model_file: absolute path of the model, a file that exists.
        task: one of TASKS in `rdk_yolo_ros.detections`; given explicitly.
        task_hint: the task that `dnn_Parser` suggests; what the model says goes before it.
        class_num: number of classes.
        class_names: their names, from `class_names` or the `cls_names_list` file.
        reg_max: bins of the box distribution, 1 for none.
        num_keypoints: key points of an instance.
        keypoint_dims: values of a key point, 2 or 3.
        keypoint_names: their names.
        num_mask: mask coefficients of an instance.
        strides: input pixels to a grid cell, for each level.
        score_threshold: 0 to 1, dnn_node_example's default.
        nms_threshold: IoU, 0 to 1, dnn_node_example's default; 1 for no suppression.
        nms_top_k: boxes for each frame, dnn_node_example's default.
        max_detections: detections for each frame.
        class_agnostic: whether boxes of different classes suppress each other, too.
        score_thresholds: class name or id, as text, to the threshold in place of
            `score_threshold`.
        top_k: classes of a classification, best first.
        softmax: whether a classification puts out logits.
        native_masks: whether masks are thresholded at the image's resolution, not at the model
            input's.
        rules: 'v8' or 'yolo26', how key points and angles are decoded.
        nms: whether the model finds an object more than once.
        nv12_range: 'full' or 'limited', how the model reads NV12.
        runtime: 'auto' or a runtime's name.
        outputs: the role of each output, in the model's order.
        bpu_priority: of the model's tasks on the BPU, 0 to 255, the higher first.
        bpu_cores: the BPU cores that it may run on; none leaves the choice to the scheduler.
        inference_timeout: seconds after which an inference is given up; None: the runtime's
            own choice.
        model_name: which model of a file with several.
        model_output_count: number of outputs that the model must have.
        source: the file that this came from, for messages.

    """

    model_file: Path
    task: Optional[str] = None
    task_hint: Optional[str] = None
    class_num: Optional[int] = None
    class_names: Optional[tuple[str, ...]] = None
    reg_max: Optional[int] = None
    num_keypoints: Optional[int] = None
    keypoint_dims: Optional[int] = None
    keypoint_names: Optional[tuple[str, ...]] = None
    num_mask: Optional[int] = None
    strides: Optional[tuple[int, ...]] = None
    score_threshold: float = 0.4
    nms_threshold: float = 0.5
    nms_top_k: int = 5000
    max_detections: int = 300
    class_agnostic: bool = False
    score_thresholds: Optional[Mapping[str, float]] = None
    top_k: Optional[int] = None
    softmax: Optional[bool] = None
    native_masks: bool = False
    rules: Optional[str] = None
    nms: Optional[bool] = None
    nv12_range: Optional[str] = None
    runtime: str = 'auto'
    outputs: Optional[tuple[str, ...]] = None
    bpu_priority: int = 0
    bpu_cores: tuple[int, ...] = ()
    inference_timeout: Optional[float] = None
    model_name: Optional[str] = None
    model_output_count: Optional[int] = None
    source: str = '<mapping>'

    @classmethod
    def load(cls, path: Union[str, os.PathLike[str]]) -> WorkConfig:
        """
        Read a work configuration from a JSON or YAML file.

        Raises:
            WorkConfigError: one line with the file, the key, the value and what was expected.

        """
        path = Path(os.path.abspath(os.path.expanduser(path)))
        if path.suffix.lower() in ('.onnx', '.bin', '.hbm', '.pt') and path.is_file():
            raise WorkConfigError(f'{path} is a model, expected a work configuration, JSON or '
                                  f'YAML; one for it: rdk-yolo inspect {path}')
        return cls.from_mapping(read_mapping(path), source=str(path), base_dir=path.parent)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], source: str = '<mapping>',
                     base_dir: Union[str, os.PathLike[str], None] = None) -> WorkConfig:
        """
        Check a mapping of work configuration keys.

        `source` names it in messages; relative paths are looked up in `base_dir` first.

        Raises:
            WorkConfigError: see `load`.

        """
        given = dict(mapping)
        unknown = [key for key in given if key not in known_keys()]
        if len(unknown) == len(given) > 1 and not any(map(_nearest, unknown[:_MAX_FAULTS])):
            # Some other file, and what it says is not for whoever gave its path.
            raise WorkConfigError(f'{source}: no work configuration: none of its {len(given)} '
                                  f'keys is known; known keys: {", ".join(sorted(known_keys()))}')
        # Each costs a search, and a file that is no work configuration may have thousands.
        faults = _unknown_faults({key: given[key] for key in unknown[:_MAX_FAULTS]})
        faults += _schema_faults({k: v for k, v in given.items() if k in known_keys()})
        if faults:
            more = len(faults) + len(unknown[_MAX_FAULTS:]) - _MAX_FAULTS
            raise WorkConfigError(f'{source}: ' + '; '.join(faults[:_MAX_FAULTS])
                                  + (f'; and {more} more' if more > 0 else ''))
        _warn_of_ignored(given, source)
        base_dir = None if base_dir is None else Path(base_dir)
        values: dict[str, Any] = {'source': source,
                                  'model_file': _find('model_file', given, source, base_dir)}
        for key in ('class_num', 'reg_max', 'num_keypoints', 'keypoint_dims', 'num_mask',
                    'nms_top_k', 'top_k', 'max_detections', 'model_output_count', 'bpu_priority'):
            if key in given:
                values[key] = int(given[key])
        for key in ('score_threshold', 'nms_threshold', 'inference_timeout'):
            if key in given:
                values[key] = float(given[key])
        for key in ('class_names', 'keypoint_names', 'outputs'):
            if key in given:
                values[key] = tuple(given[key])
        for key in ('task', 'runtime', 'model_name', 'rules', 'nms', 'class_agnostic', 'softmax',
                    'native_masks'):
            if key in given:
                values[key] = given[key]
        for key in ('strides', 'bpu_cores'):
            if key in given:
                values[key] = tuple(int(n) for n in given[key])
        if 'score_thresholds' in given:
            values['score_thresholds'] = {str(name): float(threshold) for name, threshold
                                          in given['score_thresholds'].items()}
        if 'nv12_range' in given:
            values['nv12_range'] = _NV12_RANGE.get(given['nv12_range'], given['nv12_range'])
        parser = given.get('dnn_Parser')
        if parser is not None:
            values['task_hint'] = _PARSER_TASK[parser]
        if parser == 'yolov10':
            values.setdefault('nms', False)  # trained one-to-one: no duplicates to drop
        if 'top_k' in given:
            values.setdefault('max_detections', min(int(given['top_k']), 65535))
        if 'cls_names_list' in given:
            values['class_names'] = _class_list(given, source, base_dir)
        _check_lengths(given, values, source)
        return cls(**values)


@cache
def schema() -> dict[str, Any]:
    """Return the JSON schema (draft 7) of a work configuration."""
    text = resources.files(__package__).joinpath(SCHEMA_NAME).read_text(encoding='utf-8')
    return json.loads(text)


@cache
def known_keys() -> frozenset[str]:
    """Return the keys that a work configuration may have."""
    return frozenset(schema()['properties'])


def _find(key: str, given: Mapping[str, Any], source: str, base_dir: Optional[Path]) -> Path:
    try:
        return find_file(given[key], base_dir)
    except FileNotFoundError as error:
        raise WorkConfigError(f'{source}: {key} is {shown(given[key])}, {error}') from None


def _class_list(given: Mapping[str, Any], source: str,
                base_dir: Optional[Path]) -> tuple[str, ...]:
    """Return the names in the cls_names_list file: a name a line, blank lines at its end."""
    if 'class_names' in given:
        raise WorkConfigError(f'{source}: cls_names_list and class_names are both given; keep one')
    path = _find('cls_names_list', given, source, base_dir)
    lines = [line.strip() for line in read_text(path, 'class list').rstrip().split('\n')]
    for number, line in enumerate(lines, 1):
        if not line or any(ord(c) < 32 for c in line) or len(line) > 200:
            raise WorkConfigError(
                f'{source}: cls_names_list is {shown(given["cls_names_list"])}, and line {number} '
                f'of {path} is {shown(line)}, expected a class name of 1 to 200 characters')
    return tuple(lines)


def _check_lengths(given: Mapping[str, Any], values: Mapping[str, Any], source: str) -> None:
    names, points = values.get('class_names'), values.get('keypoint_names')
    if names is not None and values.get('class_num', len(names)) != len(names):
        if 'class_names' in given:
            where = 'class_names'
        else:
            where = f'cls_names_list {shown(given["cls_names_list"])}'
        raise WorkConfigError(f'{source}: class_num is {values["class_num"]} but {where} has '
                              f'{len(names)} names, expected as many; correct one of the two')
    if points is not None and values.get('num_keypoints', len(points)) != len(points):
        raise WorkConfigError(
            f'{source}: num_keypoints is {values["num_keypoints"]} but keypoint_names has '
            f'{len(points)} names, expected as many; correct one of the two')


def _warn_of_ignored(given: Mapping[str, Any], source: str) -> None:
    ignored = [key for key in given
               if schema()['properties'][key]['$comment'].endswith('ignored')]
    if ignored:
        _log.warning('%s: without meaning here and ignored: %s', source, ', '.join(ignored))


def _unknown_faults(given: Mapping[Any, Any]) -> list[str]:
    """Return the faults of unknown keys: the nearest known one, or all, but these once only."""
    everything = ', known keys: ' + ', '.join(sorted(known_keys()))
    faults = []
    for key, value in given.items():
        near = _nearest(key)
        advice = f', did you mean {near}?' if near else everything
        faults.append(f'unknown key {shown(key)} (value {shown(value)}){advice}')
        if not near:
            everything = ''
    return faults


@cache
def _known_by_lower() -> dict[str, str]:
    return {known.lower(): known for known in sorted(known_keys())}


def _nearest(key: Any) -> Optional[str]:
    """Return the known key that an unknown one is nearly spelt as, if any."""
    by_lower = _known_by_lower()
    near = difflib.get_close_matches(str(key).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def _schema_faults(given: Mapping[str, Any]) -> list[str]:
    """Return what the schema finds, one fault for each place: a wrong type says it all."""
    validator = jsonschema.Draft7Validator(schema())
    errors = sorted(validator.iter_errors(given), key=lambda e: e.validator != 'type')
    by_place = {tuple(map(str, error.path)): error for error in reversed(errors)}
    return [_fault(by_place[place]) for place in sorted(by_place)]


def _fault(error: jsonschema.ValidationError) -> str:
    """Return a schema violation as: key is value, expected this."""
    if error.validator == 'required':
        missing = [key for key in error.validator_value if key not in error.instance]
        return f'{missing[0]} is missing, expected the path of the model'
    key = ''.join(f'[{p}]' if isinstance(p, int) else f'.{shown_key(p)}' for p in error.path)[1:]
    value = error.instance
    if key == 'dnn_Parser' and isinstance(value, str):
        known = ', '.join(_PARSER_TASK)
        if value in _ANCHOR_PARSERS:
            return (f'{key} is {shown(value)}, an anchor-based YOLO, which this package does not '
                    f'decode; expected one of {known}')
        if value in _OTHER_PARSERS:
            return f'{key} is {shown(value)}, which is no YOLO; expected one of {known}'
    return f'{key} is {shown(value)}, expected {_expected(error)}{_advice(error)}'


def _expected(error: jsonschema.ValidationError) -> str:
    if error.validator == 'uniqueItems':
        return 'no value twice'
    return _describe(error.schema)


def _describe(part: Mapping[str, Any]) -> str:
    """Return what a part of the schema asks for, in words."""
    if 'enum' in part:
        return 'one of ' + ', '.join(part['enum'])
    kind = part['type']
    if kind == 'boolean':
        return 'true or false'
    if kind == 'object':
        return f'a mapping of class names to {_describe(part["additionalProperties"])}'
    if kind == 'array':
        length = f'{part["minItems"]} to {part["maxItems"]}' if 'maxItems' in part \
            else f'at least {part["minItems"]}'
        return f'a list of {length}, each {_describe(part["items"])}'
    if kind == 'string':
        return 'text that is not empty' if part.get('minLength') else 'text'
    words = {'integer': 'a whole number', 'number': 'a number'}[kind]
    return f'{words} from {part["minimum"]} to {part["maximum"]}'


def _advice(error: jsonschema.ValidationError) -> str:
    """Return what to do, where the mistake is a common one."""
    value, part = error.instance, error.schema
    if error.validator == 'enum' and isinstance(value, str):
        near = difflib.get_close_matches(value.lower(), part['enum'], n=1)
        return f'; did you mean {near[0]}?' if near else ''
    if error.validator != 'type':
        return ''
    if value is None:
        return '; leave the key out for its default'
    if part['type'] == 'string' and isinstance(value, (bool, int, float)):
        return '; put it in quotes (YAML reads no, off, yes, on as booleans)' \
            if isinstance(value, bool) else '; put it in quotes'
    if part['type'] == 'boolean' and str(value).lower() in ('true', 'false', '0', '1'):
        return '; write true or false, without quotes'
    if part['type'] in ('integer', 'number') and isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return ''
        return f'; write {number:g} without quotes (YAML takes an exponent only after a point: ' \
            '1.0e-3)' if 'e' in value.lower() else '; take the quotes off'
    return ''
