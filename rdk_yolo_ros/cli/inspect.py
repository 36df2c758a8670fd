"""rdk-yolo inspect: a model's outputs, what they are, and a work configuration for it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import json
import logging
import os
import sys
from typing import Any

import numpy as np

from rdk_yolo_ros.cli.model_argument import CONFIG_SUFFIXES
from rdk_yolo_ros.detections import TASKS
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.heads import ROLES
from rdk_yolo_ros.matching import choose_class_names, match_model
from rdk_yolo_ros.runtimes import Runtime, open_runtime
from rdk_yolo_ros.tensors import TensorInfo
from rdk_yolo_ros.work_config import WorkConfig

# What the parser sets and a work configuration takes, where the user gives it.
_KEYS = ('task', 'class_num', 'reg_max', 'num_keypoints', 'keypoint_dims', 'rules', 'nms',
         'outputs', 'runtime', 'nv12_range')
_EXTRA = {'pose': 'key points', 'segment': 'coefficients', 'obb': 'angle'}
_SHOWN_NAMES = 10


def add_command(commands: Any) -> None:
    """Add the subcommand to the parser's."""
    parser = commands.add_parser(
        'inspect', help='show what a model is, and write a work configuration for it',
        description='Print the outputs of a model, the YOLO heads that they are, and a work '
                    'configuration that runs it. The options are keys of that configuration: '
                    'they settle what the shapes leave open.')
    parser.add_argument('model', metavar='MODEL', help='the model file')
    parser.add_argument('--json', action='store_true', help='print the configuration alone')
    parser.add_argument('--task', choices=TASKS)
    for key in ('class-num', 'reg-max', 'num-keypoints', 'keypoint-dims'):
        parser.add_argument(f'--{key}', type=int, metavar='N')
    parser.add_argument('--rules', choices=('v8', 'yolo26'))
    parser.add_argument('--nms', action=argparse.BooleanOptionalAction, default=None,
                        help='whether the model finds an object more than once')
    parser.add_argument('--outputs', metavar='ROLE,ROLE', type=lambda text: text.split(','),
                        help=f'the role of each output, in order: {", ".join(ROLES)}')
    parser.add_argument('--runtime', metavar='NAME')
    parser.add_argument('--nv12-range', choices=('full', 'limited'))
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """
    Inspect a model.

    Raises:
        RdkYoloError: the model cannot be opened, or its outputs are no YOLO's.

    """
    given = {key: getattr(arguments, key) for key in _KEYS
             if getattr(arguments, key) is not None}
    path = os.path.abspath(os.path.expanduser(arguments.model))
    if not os.path.exists(path):
        raise ModelError(f'{path}: there is no such model file')
    if path.lower().endswith(CONFIG_SUFFIXES):
        model = WorkConfig.load(path).model_file
        raise ModelError(f'{path} is a work configuration, expected a model: rdk-yolo inspect '
                         f'{model}')
    config = WorkConfig.from_mapping({'model_file': path, **given}, 'the command line')
    notes = _Notes()
    package = logging.getLogger('rdk_yolo_ros')
    package.addHandler(notes)
    try:
        with open_runtime(config.model_file, config.runtime, config.nv12_range) as runtime:
            if not arguments.json:
                _print_outputs(runtime)
            layout = match_model(config, runtime)
            mapping = work_config_of(config, runtime, layout, given)
            if not arguments.json:
                _print_heads(config, runtime, layout)
    finally:
        package.removeHandler(notes)
    if arguments.json:
        for text in notes.lines:
            print(f'rdk-yolo: {text}', file=sys.stderr)
    else:
        for text in notes.lines:
            print(f'note: {text}')
        print('\nwork configuration:')
    print(json.dumps(mapping, indent=2, ensure_ascii=False))
    return 0


class _Notes(logging.Handler):
    """The library's warnings, kept for the end: a failure has one line."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(' '.join(record.getMessage().split()))


def work_config_of(config: WorkConfig, runtime: Runtime, layout: HeadLayout,
                   given: dict[str, Any]) -> dict[str, Any]:
    """
    Return a work configuration's mapping that reads the model as `layout` does.

    Args:
        config: the configuration that the layout was found with.
        runtime: the open model.
        layout: the model's heads.
        given: keys of it that the user set; they are kept.

    """
    mapping: dict[str, Any] = {
        'model_file': str(config.model_file), 'task': layout.task,
        'model_output_count': len(runtime.outputs), 'class_num': layout.class_num}
    names = runtime.metadata.class_names
    if names is not None and len(names) == layout.class_num \
            and all(0 < len(name) <= 200 for name in names):
        mapping['class_names'] = list(names)
    if layout.levels:
        mapping.update(reg_max=layout.reg_max, strides=list(layout.strides), rules=layout.rules)
    if layout.task == 'pose':
        mapping.update(num_keypoints=layout.num_keypoints, keypoint_dims=layout.keypoint_dims)
    points = runtime.metadata.keypoint_names
    if points is not None and len(points) == layout.num_keypoints \
            and all(0 < len(name) <= 200 for name in points):
        mapping['keypoint_names'] = list(points)
    if layout.prototypes is not None:
        mapping['num_mask'] = layout.prototypes.channels
    mapping['nv12_range'] = runtime.nv12_range
    mapping.update({key: value for key, value in given.items() if key not in mapping})
    if layout.task == 'classify':
        return {**mapping, 'top_k': 5}
    mapping.update(nms=layout.nms, score_threshold=0.25)
    if layout.nms:
        mapping['nms_threshold'] = 0.7
    return {**mapping, 'max_detections': 300}


def _print_outputs(runtime: Runtime) -> None:
    height, width = runtime.input_hw
    print(f'{runtime.path}: runs on {runtime.name}, takes {width}x{height} NV12 '
          f'({runtime.nv12_range} range)\n\noutputs:')
    rows = [[str(i), info.name, 'x'.join(map(str, info.shape)), info.dtype.name,
             _quantization(info)] for i, info in enumerate(runtime.outputs)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths)]
        print('  ' + '  '.join([*cells, row[4]]).rstrip())


def _quantization(info: TensorInfo) -> str:
    """Return how stored numbers become real ones, in words."""
    if info.scale is None:
        return ''
    low, high = float(info.scale.min()), float(info.scale.max())
    shift = np.log2(low)
    text = f'scale {low:g}' if low == high else f'scale {low:g} to {high:g}'
    if low == high and shift == round(shift):
        text = f'scale 2^{int(shift)}'
    if len(info.scale) > 1:
        text += f', {len(info.scale)} along axis {info.quantize_axis}'
    if info.zero_point is not None and info.zero_point.any():
        points = sorted({int(info.zero_point.min()), int(info.zero_point.max())})
        text += ', zero point ' + ' to '.join(map(str, points))
    return text


def _print_heads(config: WorkConfig, runtime: Runtime, layout: HeadLayout) -> None:
    print('\nheads:')
    for name, text in heads_in_words(config, runtime, layout):
        print(f'  {name + ":":<12}{text}')


def heads_in_words(config: WorkConfig, runtime: Runtime,
                   layout: HeadLayout) -> Iterator[tuple[str, str]]:
    """Yield what was recognised, as (subject, words)."""
    yield 'task', layout.task
    names = choose_class_names(config, runtime, layout)
    more = len(names) - _SHOWN_NAMES
    yield 'classes', f'{layout.class_num} ({", ".join(names[:_SHOWN_NAMES])}' + (
        f' and {more} more)' if more > 0 else ')')
    if layout.levels:
        yield 'strides', ', '.join(map(str, layout.strides))
        yield 'boxes', ('plain distances, reg_max 1' if layout.reg_max == 1
                        else f'distributions, reg_max {layout.reg_max}')
        yield 'rules', layout.rules
    if layout.task == 'pose':
        what = 'x, y, visibility' if layout.keypoint_dims == 3 else 'x, y'
        yield 'key points', f'{layout.num_keypoints} of {what}'
    if layout.task != 'classify':
        yield 'nms', ('yes' if layout.nms else 'no, each object is found once')
    if layout.table is not None:
        table = layout.table
        form = {'dense': 'a row for each anchor point', 'classes': 'a number for each class',
                'end_to_end': 'a row for each instance'}[table.form]
        yield 'table', f'{table.info.name!r}: {form}, {table.rows} x {table.columns}'
    for level in layout.levels:
        heads = {'class': level.class_head, 'box': level.box_head,
                 _EXTRA.get(layout.task): level.extra}
        yield f'stride {level.stride}', ', '.join(
            f'{role} {head.info.name!r}' for role, head in heads.items() if head is not None)
    if layout.prototypes is not None:
        head = layout.prototypes
        yield 'prototypes', (f'{head.info.name!r}: {head.channels} of '
                             f'{head.grid_hw[1]}x{head.grid_hw[0]}')
