"""The source node, the YOLO node and the overlay node, in a process each or all in one."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path
from typing import Any, NamedTuple, Optional

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import ComposableNodeContainer, Node
from launch_ros.descriptions import ComposableNode
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(__file__).absolute().parents[1]
DDS_PROFILES = SHARE / 'config' / 'dds'

# Who has set one of these has chosen how Fast DDS transports images.
DDS_VARIABLES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE',
                 'FASTDDS_BUILTIN_TRANSPORTS')


def _bool(text: str) -> bool:
    if text.lower() not in ('true', 'false', '1', '0'):
        raise ValueError
    return text.lower() in ('true', '1')


# Arguments that are a node's parameters of the same name: type, default, description. One that
# is left empty is not passed on, and the node's own default holds.
SOURCE_PARAMETERS = {
    'source': (str, 'synthetic', 'synthetic, or the path of a video, pictures, or a bag'),
    'bag_topic': (str, '', "the bag's image topic, where it has several"),
    'rate': (float, '', "images a second; default: the source's own, else 30"),
    'loop': (_bool, 'true', 'start over after the last image'),
    'max_frames': (int, '', 'images after which the source ends; default: never'),
    'width': (int, '', "pixels; default: the source's own"),
    'height': (int, '', "pixels; default: the source's own"),
    'encoding': (str, 'nv12', 'nv12, bgr8 or jpeg'),
    'stamp': (str, '', "now, or source: the bag's stamps; default: now"),
    'frame_id': (str, '', "default: the bag's own, else camera"),
}
YOLO_PARAMETERS = {
    'runtime': (str, '', "default: the work configuration's choice"),
    'slots': (int, '', 'frames inferred at once; default: as many as the runtime takes'),
    'score_threshold': (float, '', "default: the work configuration's"),
    'nms_threshold': (float, '', "default: the work configuration's"),
    'max_detections': (int, '', "default: the work configuration's"),
    'class_id_format': (str, '', 'name or index; default: name'),
    'publish_ai_msgs': (str, '', 'auto, true or false; default: auto, where it is installed'),
    'msg_pub_topic_name': (str, '', "ai_msgs' topic; default: hobot_dnn_detection"),
    # dnn_node_example's; the node says what to use instead.
    'dump_render_img': (int, '', 'no effect: give overlay:=true for rendered images, which are '
                        'published'),
}
# Where a camera's shared-memory images come from; the source node publishes none.
SHARED_MEMORY = {
    'is_shared_mem_sub': (_bool, '', "true: hbm_img_msgs, TROS' shared-memory images"),
    'sharedmem_img_topic_name': (str, '', 'topic of these; default: /hbmem_img'),
}
OTHER = {
    'config_file': ('', 'work configuration, JSON or YAML: a path, or one in the share folder'),
    'image_topic': ('image_raw', 'topic of the images'),
    'use_source': ('true', 'false: a camera publishes image_topic, start no source node'),
    'overlay': ('false', 'start the overlay node, which draws results on the images'),
    'overlay_encoding': ('', 'bgr8 or nv12, encoding of overlay/image; default: bgr8'),
    'composed': ('false', 'all nodes in one process, where images pass without a copy'),
    'namespace': ('', 'namespace of the nodes'),
    'log_level': ('info', 'debug, info, warn or error'),
    'rviz': ('false', 'start rviz2 with config/rviz/yolo.rviz'),
    'dds_profile': (str(DDS_PROFILES / 'shared_memory.xml'),
                    'Fast DDS profile, used unless the environment names one; empty: none'),
    'device': ('', 'no effect: no camera driver is started here'),
}
# dnn_node_example's names, for whoever comes from there.
ALIASES = {
    'dnn_example_config_file': 'config_file',
    'dnn_example_image_width': 'width',
    'dnn_example_image_height': 'height',
    'dnn_example_dump_render_img': 'dump_render_img',
    'dnn_example_msg_pub_topic_name': 'msg_pub_topic_name',
    'publish_image_source': 'source',
}


class Started(NamedTuple):
    """A node that is to be started, in a process of its own or in the container."""

    executable: str
    plugin: str
    parameters: dict[str, Any]
    on_exit: Any


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the rest depends on their values."""
    arguments = [DeclareLaunchArgument(name, default_value=default, description=description)
                 for name, (default, description) in OTHER.items()]
    arguments += [DeclareLaunchArgument(name, default_value=default, description=description)
                  for name, (_, default, description)
                  in {**SOURCE_PARAMETERS, **YOLO_PARAMETERS, **SHARED_MEMORY}.items()]
    arguments += [DeclareLaunchArgument(alias, default_value='', description=f'the same as {name}')
                  for alias, name in ALIASES.items()]
    return LaunchDescription([*arguments, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list[Action]:
    names = {*OTHER, *SOURCE_PARAMETERS, *YOLO_PARAMETERS, *SHARED_MEMORY, *ALIASES}
    values = {name: LaunchConfiguration(name).perform(context) for name in names}
    for alias, name in ALIASES.items():
        values[name] = values[alias] or values[name]
    actions: list[Action] = [LogInfo(msg=text) for text in _without_effect(values, os.environ)]
    if values['dds_profile'] and not any(os.environ.get(name) for name in DDS_VARIABLES):
        # Fast DDS 2 knows only the first name, Fast DDS 3 only the second.
        profile = Path(values['dds_profile'])
        own = profile.parent == DDS_PROFILES
        actions += [
            SetEnvironmentVariable(DDS_VARIABLES[0], str(profile)),
            SetEnvironmentVariable(DDS_VARIABLES[1], str(
                DDS_PROFILES / 'fast_dds_3' / profile.name if own else profile))]
    nodes = _nodes(values)
    if _typed('composed', _bool, values):
        actions.append(_container(nodes, values))
    else:
        actions += [_process(node, values) for node in nodes]
    if _typed('rviz', _bool, values):
        actions.append(Node(package='rviz2', executable='rviz2', output='screen',
                            arguments=['-d', str(SHARE / 'config' / 'rviz' / 'yolo.rviz')]))
    return actions


def _nodes(values: dict[str, str]) -> list[Started]:
    nodes = []
    image_topic = values['image_topic']
    parameters = _given(YOLO_PARAMETERS, values)
    overlay = {'encoding': values['overlay_encoding']} if values['overlay_encoding'] else {}
    if not _typed('use_source', _bool, values):
        parameters.update(_given(SHARED_MEMORY, values))
    else:
        nodes.append(Started('source', 'SourceNode', {
            **_given(SOURCE_PARAMETERS, values), 'image_topic': image_topic},
            _shut_down_after_failure))
        if values['encoding'] == 'jpeg':
            image_topic += '/compressed'
    nodes.append(Started('yolo', 'YoloNode', {
        **parameters, 'image_topic': image_topic, 'config_file': values['config_file']},
        Shutdown(reason='the YOLO node ended')))
    if _typed('overlay', _bool, values):
        if parameters.get('is_shared_mem_sub'):
            image_topic = parameters.get('sharedmem_img_topic_name', '/hbmem_img')
        nodes.append(Started('overlay', 'OverlayNode', {
            **overlay, 'image_topic': image_topic}, None))
    return nodes


def _without_effect(values: Mapping[str, str], environ: Mapping[str, str]) -> list[str]:
    """Return a line for each of dnn_node_example's settings that is given and changes nothing."""
    plays = _typed('use_source', _bool, values)
    camera = ("no camera driver is started here: start the camera's own launch file, and give "
              'use_source:=false image_topic:=TOPIC')
    lines = []
    if values['device']:
        lines.append(f"device:={values['device']} has no effect: {camera}")
    # fb asks for a picture, which the source node publishes. Without the source node there is a
    # camera, whose own launch file reads CAM_TYPE.
    camera_type = environ.get('CAM_TYPE') or 'fb'
    if plays and camera_type != 'fb':
        lines.append(f'CAM_TYPE={camera_type} has no effect: {camera}')
    for alias, name in ALIASES.items():
        if values[alias] and name in SOURCE_PARAMETERS and not plays:
            lines.append(f'{alias}:={values[alias]} has no effect: use_source:=false starts no '
                         'source node')
    lines += [f'{name}:={values[name]} has no effect: the source node publishes '
              'sensor_msgs/Image; with a camera, give use_source:=false'
              for name in SHARED_MEMORY if values[name] and plays]
    return lines


def _process(node: Started, values: dict[str, str]) -> Node:
    return Node(package='rdk_yolo_ros', executable=node.executable, name=node.executable,
                namespace=values['namespace'], parameters=[_with_types(node)], output='screen',
                arguments=['--ros-args', '--log-level', values['log_level']],
                on_exit=node.on_exit)


def _container(nodes: list[Started], values: dict[str, str]) -> ComposableNodeContainer:
    return ComposableNodeContainer(
        package='rdk_yolo_ros', executable='component_container', name='yolo_container',
        namespace=values['namespace'], output='screen',
        arguments=['--ros-args', '--log-level', values['log_level']],
        on_exit=Shutdown(reason='the container ended'),
        composable_node_descriptions=[
            ComposableNode(package='rdk_yolo_ros', plugin=f'rdk_yolo_ros::{node.plugin}',
                           name=node.executable, namespace=values['namespace'],
                           parameters=[_with_types(node)],
                           extra_arguments=[{'use_intra_process_comms': True}])
            for node in nodes])


def _with_types(node: Started) -> dict[str, ParameterValue]:
    # With the type said, a text that looks like a number stays a text.
    return {name: ParameterValue(value, value_type=type(value))
            for name, value in node.parameters.items()}


def _given(specs: dict[str, tuple], values: dict[str, str]) -> dict[str, Any]:
    return {name: _typed(name, spec[0], values) for name, spec in specs.items() if values[name]}


def _typed(name: str, type_: Any, values: dict[str, str]) -> Any:
    try:
        return type_(values[name])
    except ValueError:
        expected = {_bool: 'true or false', int: 'a whole number'}.get(type_, 'a number')
        raise RuntimeError(f'argument {name} is {values[name]!r}, expected {expected}') from None


def _shut_down_after_failure(event: ProcessExited, context: LaunchContext) -> Optional[Action]:
    """End everything if the source could not be read; a source that is through ends alone."""
    return Shutdown(reason='the source node failed') if event.returncode else None
