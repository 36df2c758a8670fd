"""The YOLO node's parameters: declared with descriptors, checked, dnn_node_example's names too."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node

from rdk_yolo_ros.decode import DecodeOptions


@dataclass(frozen=True)
class ParameterSpec:
    """
    One parameter as it is declared.

    Attributes:
        name: the parameter's name.
        default: its value where nobody gives one; its type is the parameter's type.
        description: what `ros2 param describe` says.
        value_range: the smallest and the largest value that a number may have.
        choices: the only values that a string may have.
        changeable: whether it may be set while the node runs.
        any_type: whether a value of another type than the default's is taken, too.
        is_topic: whether the value must be a topic's name, full or relative.

    """

    name: str
    default: Any
    description: str
    value_range: Optional[tuple[float, float]] = None
    choices: tuple[str, ...] = ()
    changeable: bool = False
    any_type: bool = False
    is_topic: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """Return what rclpy needs to know to hold a value to this."""
        descriptor = ParameterDescriptor(
            name=self.name, description=self.description, read_only=not self.changeable,
            dynamic_typing=self.any_type,
            additional_constraints=f'one of {", ".join(self.choices)}' if self.choices else '')
        if self.value_range is not None:
            low, high = self.value_range
            if isinstance(self.default, float):
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(low), to_value=float(high))]
            else:
                descriptor.integer_range = [
                    IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        return descriptor


AI_MSGS_TOPIC = 'hobot_dnn_detection'

# Of every node that takes images.
IMAGE_PARAMETERS = (
    ParameterSpec('image_topic', 'image_raw', 'The image topic to subscribe to.', is_topic=True),
    ParameterSpec('image_transport', 'auto',
                  'raw: sensor_msgs/Image. compressed: sensor_msgs/CompressedImage, on '
                  'image_topic/compressed unless image_topic already ends in /compressed. auto: '
                  'compressed where image_topic ends in /compressed, else the type that its '
                  'publisher has, else raw.',
                  choices=('auto', 'raw', 'compressed')),
    ParameterSpec('image_color_range', 'full',
                  'The range of YUV images, which their messages do not say. full: luma from 0 '
                  'to 255 (JFIF). limited: 16 to 235 (BT.601 video).',
                  choices=('full', 'limited')),
)

START_PARAMETERS = (
    ParameterSpec('autostart', True,
                  'Whether the node brings itself to active; false: it waits, unconfigured, for '
                  'a lifecycle manager.'),
    ParameterSpec('config_file', '',
                  "The work configuration, JSON or YAML: a path, or one inside this package's "
                  'share folder.'),
    *IMAGE_PARAMETERS,
    ParameterSpec('is_shared_mem_sub', 0,
                  "1 or true: images are TROS' shared-memory ones, hbm_img_msgs/HbmMsg1080P, "
                  'HbmMsg540P or HbmMsg480P, on sharedmem_img_topic_name.', any_type=True),
    ParameterSpec('sharedmem_img_topic_name', '/hbmem_img',
                  'The topic of those images; it counts with is_shared_mem_sub only.',
                  is_topic=True),
    ParameterSpec('runtime', 'auto',
                  "What runs the model; auto: the work configuration's choice, else what fits "
                  'the model file and is installed here.'),
    ParameterSpec('slots', 0, 'How many frames are inferred at once, which the runtime is told '
                  'when it is opened; 0: its own choice.', value_range=(0, 32)),
    ParameterSpec('inference_timeout', 0.0,
                  'Seconds after which an inference that has not ended is given up; 0: the work '
                  "configuration's, else 2 on the BPU and 30 with onnx.",
                  value_range=(0.0, 3600.0)),
    ParameterSpec('class_id_format', 'name',
                  "What a detection's class_id holds: the class's name, or its index.",
                  choices=('name', 'index')),
    ParameterSpec('publish_ai_msgs', 'auto',
                  'Whether results are published in ai_msgs, too; auto: where ai_msgs is '
                  'installed. true: without it the node does not start.',
                  choices=('auto', 'true', 'false'), any_type=True),
    ParameterSpec('msg_pub_topic_name', AI_MSGS_TOPIC,
                  'The topic of ai_msgs/PerceptionTargets; its PerceptionInfo is on the same '
                  'name with _info at the end.', is_topic=True),
)


def option_parameters(options: DecodeOptions) -> tuple[ParameterSpec, ...]:
    """Return the parameters that change while the node runs; `options` has their defaults."""
    return (
        ParameterSpec('score_threshold', float(options.score_threshold),
                      'Only instances that score more than this are published.',
                      value_range=(0.0, 1.0), changeable=True),
        ParameterSpec('nms_threshold', float(options.nms_threshold),
                      'Instances of a class whose boxes overlap more than this IoU are one.',
                      value_range=(0.0, 1.0), changeable=True),
        ParameterSpec('nms_top_k', int(options.nms_top_k),
                      'At most so many instances leave non-maximum suppression.',
                      value_range=(1, 1_000_000), changeable=True),
        ParameterSpec('max_detections', int(options.max_detections),
                      'At most so many instances are published, best first.',
                      value_range=(1, 65535), changeable=True),
        # An empty array has no type in ROS 2; one empty name stands for it.
        ParameterSpec('classes', [''],
                      'Publish these classes only, by name or number; empty: all of them.',
                      changeable=True, any_type=True),
    )


def given_value(node: Node, name: str) -> Any:
    """Return the value that was given for a parameter, declared or not; None if none was."""
    if node.has_parameter(name):
        return node.get_parameter(name).value
    value = node.declare_parameter(
        name, None, ParameterDescriptor(dynamic_typing=True)).value
    node.undeclare_parameter(name)
    return value


def declare(node: Node, spec: ParameterSpec) -> Any:
    """
    Declare one parameter and return its value.

    Raises:
        rclpy.exceptions.ParameterException: the value given for it does not fit; the message
            names the parameter.

    """
    try:
        value = node.declare_parameter(spec.name, spec.default, spec.descriptor()).value
    except (InvalidParameterValueException, InvalidParameterTypeException) as error:
        raise ParameterException(f'parameter {spec.name}: {_fault(spec, str(error.args[0]))}',
                                 spec.name) from error
    if spec.choices and isinstance(value, bool):
        value = str(value).lower()  # what `-p name:=true` makes of a choice
    if spec.choices and value not in spec.choices:
        raise ParameterException(f'parameter {spec.name} is {value!r}, expected '
                                 + ' or '.join(spec.choices), spec.name)
    if spec.is_topic:
        try:
            node.resolve_topic_name(value)
        except rclpy_implementation.RCLError as error:
            reason = str(error).removeprefix('failed to resolve name: ')
            raise ParameterException(
                f"parameter {spec.name} is {value!r}, expected a topic's name: {reason}",
                spec.name) from error
    return value


def _fault(spec: ParameterSpec, said: str) -> str:
    """Return what is wrong with a value in words; rclpy's own differ from version to version."""
    said = said.split('Reason: ')[-1].removesuffix(f': {spec.name}')
    if spec.value_range is not None and isinstance(spec.default, float):
        low, high = spec.value_range
        return (f'expected a number from {low:g} to {high:g}, with a decimal point (30.0, not '
                f'30); {said}')
    if spec.value_range is not None:
        low, high = spec.value_range
        return f'expected a whole number from {low:g} to {high:g}; {said}'
    return said


def class_list(value: Any, names: Sequence[str]) -> list[Union[int, str]]:
    """
    Return the classes that a value of the parameter `classes` lists; none listed stands for all.

    Args:
        value: class names or numbers: an array of strings or integers, one integer, or one
            string with commas.
        names: the model's class names; digits that are none of them are a number.

    Raises:
        ValueError: the value is something else.

    """
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split(',')
    elif isinstance(value, int) and not isinstance(value, bool):
        value = [value]
    entries = value if isinstance(value, (list, tuple, array)) else [value]
    if any(isinstance(entry, bool) or not isinstance(entry, (str, int)) for entry in entries):
        raise ValueError(f'classes is {value!r}, expected an array of class names or numbers')
    texts = [str(entry).strip() for entry in entries]
    return [int(text) if text.isdecimal() and text not in names else text
            for text in texts if text]


# dnn_node_example's parameters that cannot mean what they mean there, and what to use instead.
_WITHOUT_EFFECT = {
    'feed_type': 'this node always subscribes; the source node publishes a picture or a video',
    'image': 'the source node publishes a picture or a video',
    'image_type': 'the encoding comes with each image',
    'image_width': 'the size comes with each image',
    'image_height': 'the size comes with each image',
    'dump_render_img': 'rendered images are published by the overlay node, which the launch '
                       'argument overlay starts, and not written to files',
}

# The values of these that ask for what this node does anyway.
_AS_IT_IS = {'feed_type': 1, 'dump_render_img': 0}

ALIASES = ('ros_img_topic_name', *_WITHOUT_EFFECT)


def take_aliases(node: Node, given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what dnn_node_example's parameter names change of `given`, under this node's names.

    Which topic images come from, and how, is settled here: with `is_shared_mem_sub`,
    `image_topic` becomes the shared-memory topic and `image_transport` 'shared_mem'.

    Warns, once each, of those that have no effect here. A name that is this package's no more
    than by alias, and that was not given, is not declared, so that it does not crowd
    `ros2 param list`.

    Args:
        node: the node that declares them.
        given: the START_PARAMETERS' values.

    Raises:
        rclpy.exceptions.ParameterException: `is_shared_mem_sub` is neither yes nor no.

    """
    taken: dict[str, Any] = {}
    for name in ALIASES:
        descriptor = ParameterDescriptor(
            dynamic_typing=True, description="dnn_node_example's parameter.")
        value = node.declare_parameter(name, None, descriptor).value
        if value is None:
            node.undeclare_parameter(name)
        elif name == 'ros_img_topic_name':
            taken[name] = str(value)
        elif _AS_IT_IS.get(name) != value:
            _say_without_effect(node, name, _WITHOUT_EFFECT[name])
    return _image_source(node, given, taken.get('ros_img_topic_name'))


def _image_source(node: Node, given: Mapping[str, Any],
                  ros_topic: Optional[str]) -> dict[str, Any]:
    own_topic = given['image_topic'] != _default('image_topic')
    if _is_yes('is_shared_mem_sub', given['is_shared_mem_sub']):
        why = 'is_shared_mem_sub is set, so images come from sharedmem_img_topic_name'
        if own_topic:
            _say_without_effect(node, 'image_topic', why)
        if ros_topic is not None:
            _say_without_effect(node, 'ros_img_topic_name', why)
        return {'image_topic': given['sharedmem_img_topic_name'], 'image_transport': 'shared_mem'}
    if given['sharedmem_img_topic_name'] != _default('sharedmem_img_topic_name'):
        _say_without_effect(node, 'sharedmem_img_topic_name', 'is_shared_mem_sub is not set')
    if ros_topic is None:
        return {}
    if own_topic:
        _say_without_effect(node, 'ros_img_topic_name', 'image_topic is given')
        return {}
    return {'image_topic': ros_topic}


def _say_without_effect(node: Node, name: str, why: str) -> None:
    node.get_logger().warning(f'parameter {name} has no effect here: {why}')


def _default(name: str) -> Any:
    return next(spec.default for spec in START_PARAMETERS if spec.name == name)


def _is_yes(name: str, value: Any) -> bool:
    # dnn_node_example's is a number, a launch file may make a text of it.
    text = str(value).lower()
    if text not in ('0', '1', 'false', 'true'):
        raise ParameterException(f'parameter {name} is {value!r}, expected 1 or 0, true or false',
                                 name)
    return text in ('1', 'true')
