"""A work configuration against its model: what both say must agree."""

from __future__ import annotations

from collections.abc import Sequence
import logging
from typing import Any, Optional

from rdk_yolo_ros import coco
from rdk_yolo_ros.errors import HeadError, ModelError, WorkConfigError
from rdk_yolo_ros.heads import HeadLayout, identify_heads
from rdk_yolo_ros.runtimes import Runtime
from rdk_yolo_ros.work_config import WorkConfig

_log = logging.getLogger(__name__)


def match_model(config: WorkConfig, runtime: Runtime) -> HeadLayout:
    """
    Return the model's heads, read with what the configuration says and checked against it.

    Raises:
        WorkConfigError: a figure in the configuration is not the model's; names both.
        HeadError: the model's outputs are no YOLO heads, or can be read in several ways.
        ModelError: a head holds integers and the model file says no scale for them.

    """
    if config.model_name is not None:
        _log.warning('%s: model_name is %r, and choosing from a file of several models is not in '
                     'this version; ignored', config.source, config.model_name)
    outputs = len(runtime.outputs)
    if config.model_output_count not in (None, outputs):
        raise _contradiction(config, runtime, 'model_output_count', config.model_output_count,
                             outputs)
    class_num = config.class_num
    if class_num is None and config.class_names is not None:
        class_num = len(config.class_names)
    layout = _identify(config, runtime, class_num)
    _check_scales(layout, runtime)
    if config.strides is not None and tuple(sorted(config.strides)) != layout.strides:
        raise _contradiction(config, runtime, 'strides', config.strides, layout.strides)
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
        'num_keypoints': config.num_keypoints, 'order': config.outputs}
    if stated['num_keypoints'] is None and config.keypoint_names is not None:
        stated['num_keypoints'] = len(config.keypoint_names)
    metadata = runtime.metadata
    hints = {'task': metadata.task or config.task_hint,
             'class_num': metadata.class_names and len(metadata.class_names),
             'num_keypoints': metadata.num_keypoints}
    guesses = [stated, {k: v if v is not None else hints.get(k) for k, v in stated.items()},
               {**stated, 'task': config.task or config.task_hint}]
    problem: Optional[HeadError] = None
    for guess in guesses:
        try:
            return identify_heads(runtime.outputs, runtime.input_hw, **guess)
        except HeadError as error:
            problem = problem or error
    # Without the stated figures, perhaps: then one of them is the mistake, and can be named.
    try:
        layout = identify_heads(runtime.outputs, runtime.input_hw)
    except HeadError:
        raise HeadError(f'{runtime.path}: {problem}') from None
    for key, found in (('task', layout.task), ('class_num', layout.class_num),
                       ('reg_max', layout.reg_max), ('num_keypoints', layout.num_keypoints)):
        wanted = stated[key]
        if wanted is not None and wanted != found:
            raise _contradiction(config, runtime, _as_given(config, key), wanted, found)
    raise HeadError(f'{runtime.path}: {problem}') from None


def _check_scales(layout: HeadLayout, runtime: Runtime) -> None:
    """Raise ModelError where a head's integers cannot become real numbers."""
    heads = [head for level in layout.levels
             for head in (level.class_head, level.box_head, level.extra)]
    for head in (*heads, layout.prototypes):
        if head is not None and head.info.dtype.kind in 'iu' and head.info.scale is None:
            raise ModelError(
                f'{runtime.path}: output {head.info.name!r} is {head.info.dtype} and has no '
                'scale, without which it would decode to nonsense; give its scale in the ONNX '
                'metadata `output_quantization`, or export it as float32')


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
    if layout.class_num == len(coco.CLASS_NAMES):
        return coco.CLASS_NAMES
    return [str(i) for i in range(layout.class_num)]


def choose_keypoint_names(config: WorkConfig, runtime: Runtime,
                          layout: HeadLayout) -> Sequence[str]:
    """Return a name for each key point, from the same places."""
    for names in (config.keypoint_names, runtime.metadata.keypoint_names, coco.KEYPOINT_NAMES):
        if names is not None and len(names) == layout.num_keypoints:
            return names
    return [str(i) for i in range(layout.num_keypoints)]
