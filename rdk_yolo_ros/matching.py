"""A work configuration against its model: what both say must agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import difflib
import logging
from typing import Any, Optional

from rdk_yolo_ros import coco
from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.errors import HeadError, WorkConfigError
from rdk_yolo_ros.heads import HeadLayout, check_scales, identify_heads
from rdk_yolo_ros.heads.tables import cells
from rdk_yolo_ros.runtimes import Runtime
from rdk_yolo_ros.work_config import WorkConfig

_log = logging.getLogger(__name__)


def match_model(config: WorkConfig, runtime: Runtime) -> HeadLayout:
    """
    Return the model's heads, read with what the configuration says and checked against it.

    Raises:
        WorkConfigError: a figure in the configuration is not the model's; names both.
        HeadError: the model's outputs are no YOLO heads, or can be read in several ways, or hold
            integers for which the model file says no scale.

    """
    outputs = len(runtime.outputs)
    if config.model_output_count not in (None, outputs):
        raise _contradiction(config, runtime, 'model_output_count', config.model_output_count,
                             outputs)
    class_num = config.class_num
    if class_num is None and config.class_names is not None:
        class_num = len(config.class_names)
    layout = _identify(config, runtime, class_num)
    check_scales(layout, f'{runtime.path}: ')
    _check_strides(config, runtime, layout)
    _warn_of_assumed_classes(config, runtime, layout, class_num)
    if layout.prototypes is not None \
            and config.num_mask not in (None, layout.prototypes.channels):
        raise _contradiction(config, runtime, 'num_mask', config.num_mask,
                             layout.prototypes.channels)
    points = config.keypoint_names
    if points is not None and len(points) != layout.num_keypoints and layout.task == 'pose':
        raise _contradiction(config, runtime, 'keypoint_names', f'{len(points)} names',
                             f'{layout.num_keypoints} key points')
    return layout


def _identify(config: WorkConfig, runtime: Runtime, class_num: Optional[int]) -> HeadLayout:
    """
    Identify the heads, with as much from the configuration and the model file as they bear.

    What the configuration states must hold. What the model's metadata states, and the task that
    `dnn_Parser` hints at, only choose between several readings: neither is reliable.
    """
    stated: dict[str, Any] = {
        'task': config.task, 'class_num': class_num, 'reg_max': config.reg_max,
        'num_keypoints': config.num_keypoints, 'keypoint_dims': config.keypoint_dims}
    if stated['num_keypoints'] is None and config.keypoint_names is not None:
        stated['num_keypoints'] = len(config.keypoint_names)
    decoding: dict[str, Any] = {'order': config.outputs, 'rules': config.rules,
                                'nms': _nms(config, runtime)}
    hints = _hints(runtime)
    less = {key: value for key, value in hints.items() if key != 'class_num'}
    parser: dict[str, Any] = {'task': config.task_hint}

    def layout_with(*sources: Mapping[str, Any]) -> HeadLayout:
        """Identify with each figure from the first source that has it."""
        figures = {key: next((source[key] for source in sources
                              if source.get(key) is not None), None) for key in stated}
        return identify_heads(runtime.outputs, runtime.input_hw, **figures, **decoding)

    for sources in ([stated, hints], [stated, less], [stated], [stated, parser]):
        try:
            return layout_with(*sources)
        except HeadError as error:
            if sources == [stated]:
                problem = error
    # Without the stated figures, perhaps: then one of them is the mistake, and can be named.
    for unstated in ({}, hints):
        try:
            layout = layout_with(unstated)
            break
        except HeadError:
            continue
    else:
        raise HeadError(f'{runtime.path}: {problem}')
    found = {**vars(layout), 'reg_max': layout.reg_max if layout.levels else None}
    if layout.task != 'pose':
        found.update(num_keypoints='no key points', keypoint_dims='no key points')
    for key, wanted in stated.items():
        if wanted is not None and found[key] is not None and wanted != found[key]:
            raise _contradiction(config, runtime, _as_given(config, key), wanted, found[key])
    raise HeadError(f'{runtime.path}: {problem}')


def _hints(runtime: Runtime) -> dict[str, Any]:
    """Return what the model file says of its heads."""
    metadata = runtime.metadata
    points = metadata.num_keypoints
    if points is None and metadata.keypoint_names is not None:
        points = len(metadata.keypoint_names)
    return {'task': metadata.task,
            'class_num': None if metadata.class_names is None else len(metadata.class_names),
            'num_keypoints': points, 'keypoint_dims': metadata.keypoint_dims}


def _nms(config: WorkConfig, runtime: Runtime) -> Optional[bool]:
    """Return what is known of duplicates; no shape tells YOLOv10 from YOLOv8."""
    if config.nms is not None or runtime.metadata.end_to_end is None:
        return config.nms
    return not runtime.metadata.end_to_end


def _check_strides(config: WorkConfig, runtime: Runtime, layout: HeadLayout) -> None:
    """Raise WorkConfigError where the model's grids are not those of the stated strides."""
    if config.strides is None or layout.table is not None and layout.table.form != 'dense':
        return
    strides = tuple(sorted(config.strides))
    if layout.table is None:
        if strides != layout.strides:
            raise _contradiction(config, runtime, 'strides', config.strides, layout.strides)
    elif cells(layout.input_hw, strides) != layout.table.rows:
        raise _contradiction(config, runtime, 'strides', config.strides,
                             f'{layout.table.rows} cells')


def _warn_of_assumed_classes(config: WorkConfig, runtime: Runtime, layout: HeadLayout,
                             class_num: Optional[int]) -> None:
    if layout.table is not None and layout.table.form == 'end_to_end' and class_num is None \
            and runtime.metadata.class_names is None:
        _log.warning('%s: the output %r does not say how many classes there are, %d assumed; set '
                     'class_num or class_names', runtime.path, layout.table.info.name,
                     layout.class_num)


def _as_given(config: WorkConfig, key: str) -> str:
    """Return the key that the figure really came from: a list's length stands in for a count."""
    if getattr(config, key) is None:
        return {'class_num': 'the number of class names',
                'num_keypoints': 'the number of keypoint_names'}[key]
    return key


def _contradiction(config: WorkConfig, runtime: Runtime, key: str, wanted: object,
                   found: object) -> WorkConfigError:
    return WorkConfigError(f'{config.source}: {key} is {wanted}, but the model {runtime.path} has '
                           f'{found}; correct the configuration, or the model is another one')


def choose_class_names(config: WorkConfig, runtime: Runtime,
                       layout: HeadLayout) -> Sequence[str]:
    """Return a name for each class: configured, in the model file, COCO's, or the number."""
    if config.class_names is not None:
        return config.class_names
    names = runtime.metadata.class_names
    if names is not None and len(names) == layout.class_num:
        return names
    if names is not None:
        _log.warning('%s: its metadata names %d classes, its outputs have %d; names ignored',
                     runtime.path, len(names), layout.class_num)
    if layout.class_num == len(coco.CLASS_NAMES) and layout.task in ('detect', 'segment'):
        return coco.CLASS_NAMES
    return [str(i) for i in range(layout.class_num)]


def choose_keypoint_names(config: WorkConfig, runtime: Runtime,
                          layout: HeadLayout) -> Sequence[str]:
    """Return a name for each key point, from the same places."""
    for names in (config.keypoint_names, runtime.metadata.keypoint_names, coco.KEYPOINT_NAMES):
        if names is not None and len(names) == layout.num_keypoints:
            return names
    return [str(i) for i in range(layout.num_keypoints)]


def choose_score_thresholds(config: WorkConfig,
                            class_names: Sequence[str]) -> Optional[dict[int, float]]:
    """
    Return the thresholds of single classes by class id, or None where there are none.

    A key of `score_thresholds` is a class name, else the number of a class.

    Raises:
        WorkConfigError: a key is neither.

    """
    if config.score_thresholds is None:
        return None
    thresholds = {}
    for key, threshold in config.score_thresholds.items():
        ids = [i for i, name in enumerate(class_names) if name == key]
        if not ids and key.isdecimal() and len(key) < 9 and int(key) < len(class_names):
            ids = [int(key)]
        if not ids:
            near = difflib.get_close_matches(key, class_names, n=1)
            advice = f'; did you mean {near[0]}?' if near else ''
            raise WorkConfigError(f'{config.source}: score_thresholds has {shown(key)}, expected '
                                  f'a class name or a number from 0 to {len(class_names) - 1}'
                                  f'{advice}')
        thresholds.update(dict.fromkeys(ids, threshold))
    return thresholds
