"""What yolo.launch.py makes of its arguments, dnn_node_example's among them, starting nothing."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip('launch')
pytest.importorskip('launch_ros')

from launch import LaunchContext  # noqa: E402
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction  # noqa: E402
from launch.utilities import perform_substitutions  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PICTURE = './config/target.jpg'


@pytest.fixture
def started(monkeypatch):
    """Return what the launch file starts with arguments: its lines, and parameters by node."""
    spec = importlib.util.spec_from_file_location(
        'yolo_launch', ROOT / 'launch' / 'yolo.launch.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.delenv('CAM_TYPE', raising=False)
    nodes = {}

    def note(executable, parameters, **kwargs):
        nodes[executable] = {name: value.evaluate(LaunchContext())
                             for name, value in parameters[0].items()}

    def note_component(name, plugin, parameters, extra_arguments, **kwargs):
        assert extra_arguments == [{'use_intra_process_comms': True}]
        note(plugin, parameters)
        return name

    def note_container(composable_node_descriptions, **kwargs):
        nodes['container'] = {**kwargs, 'names': composable_node_descriptions}

    monkeypatch.setattr(module, 'Node', note)
    monkeypatch.setattr(module, 'ComposableNode', note_component)
    monkeypatch.setattr(module, 'ComposableNodeContainer', note_container)

    def start(**arguments):
        nodes.clear()
        context = LaunchContext()
        lines, declared = [], set()
        context.launch_configurations.update(arguments)
        for entity in module.generate_launch_description().entities:
            if isinstance(entity, DeclareLaunchArgument):
                declared.add(entity.name)
            for action in entity.visit(context) or ():
                assert isinstance(entity, OpaqueFunction)
                if isinstance(action, LogInfo):
                    lines.append(perform_substitutions(context, action.msg))
        assert set(arguments) <= declared
        return lines, dict(nodes)

    return start


def test_without_arguments_both_nodes_start_and_nothing_is_said(started):
    lines, nodes = started(config_file='some.json')
    assert lines == []
    assert set(nodes) == {'source', 'yolo'}
    assert nodes['yolo'] == {'config_file': 'some.json', 'image_topic': 'image_raw'}


@pytest.mark.parametrize(('argument', 'value', 'node', 'parameter', 'expected'), [
    ('dnn_example_config_file', 'a.json', 'yolo', 'config_file', 'a.json'),
    # Of this the node says that it has no effect, and what to use instead.
    ('dnn_example_dump_render_img', '1', 'yolo', 'dump_render_img', 1),
    ('dump_render_img', '0', 'yolo', 'dump_render_img', 0),
    ('publish_ai_msgs', 'true', 'yolo', 'publish_ai_msgs', 'true'),
    ('dnn_example_msg_pub_topic_name', 'results', 'yolo', 'msg_pub_topic_name', 'results'),
    ('msg_pub_topic_name', 'results', 'yolo', 'msg_pub_topic_name', 'results'),
    ('dnn_example_image_width', '1920', 'source', 'width', 1920),
    ('dnn_example_image_height', '1080', 'source', 'height', 1080),
    ('publish_image_source', PICTURE, 'source', 'source', PICTURE)])
def test_an_argument_of_dnn_node_example_reaches_its_node(
        started, argument, value, node, parameter, expected):
    lines, nodes = started(**{argument: value})
    assert lines == []
    assert nodes[node][parameter] == expected


def test_a_camera_s_device_is_said_to_have_no_effect(started):
    (line,), nodes = started(device='/dev/video8')
    assert 'device:=/dev/video8 has no effect' in line
    assert 'use_source:=false image_topic:=TOPIC' in line
    assert not any('device' in parameters for parameters in nodes.values())


@pytest.mark.parametrize('camera', ['usb', 'mipi'])
def test_cam_type_is_said_to_have_no_effect_unless_a_camera_is_there(
        started, monkeypatch, camera):
    monkeypatch.setenv('CAM_TYPE', camera)
    (line,), _ = started()
    assert f'CAM_TYPE={camera} has no effect' in line
    assert 'use_source:=false image_topic:=TOPIC' in line
    assert started(use_source='false') == ([], {'yolo': {
        'config_file': '', 'image_topic': 'image_raw'}})


@pytest.mark.parametrize('camera', ['fb', ''])
def test_the_picture_of_cam_type_fb_is_the_source(started, monkeypatch, camera):
    monkeypatch.setenv('CAM_TYPE', camera)
    lines, nodes = started(publish_image_source=PICTURE)
    assert lines == []
    assert nodes['source']['source'] == PICTURE


@pytest.mark.parametrize(('argument', 'value'), [
    ('dnn_example_image_width', '960'), ('dnn_example_image_height', '544'),
    ('publish_image_source', PICTURE)])
def test_what_is_for_a_source_node_that_is_not_started_is_said(started, argument, value):
    (line,), nodes = started(use_source='false', **{argument: value})
    assert f'{argument}:={value} has no effect' in line
    assert 'use_source' in line
    assert set(nodes) == {'yolo'}


@pytest.mark.parametrize(('argument', 'value', 'expected'), [
    ('is_shared_mem_sub', '1', True), ('is_shared_mem_sub', 'false', False),
    ('sharedmem_img_topic_name', '/left', '/left')])
def test_where_a_camera_s_shared_memory_images_are_reaches_the_node(
        started, argument, value, expected):
    lines, nodes = started(use_source='false', **{argument: value})
    assert lines == []
    assert nodes['yolo'][argument] == expected


def test_the_source_node_publishes_no_shared_memory_images_and_that_is_said(started):
    (line,), nodes = started(is_shared_mem_sub='true')
    assert 'is_shared_mem_sub:=true has no effect' in line
    assert 'use_source:=false' in line
    assert 'is_shared_mem_sub' not in nodes['yolo']


def test_the_overlay_is_started_on_request_and_gets_the_topic_that_the_yolo_node_gets(started):
    lines, nodes = started(overlay='true', encoding='jpeg', image_topic='eye')
    assert lines == []
    assert nodes['overlay'] == {'image_topic': 'eye/compressed'}
    assert nodes['yolo']['image_topic'] == 'eye/compressed'
    _, nodes = started(overlay='true', overlay_encoding='nv12', use_source='false',
                       is_shared_mem_sub='true')
    assert nodes['overlay'] == {'image_topic': '/hbmem_img', 'encoding': 'nv12'}


def test_in_one_process_all_nodes_have_what_they_have_in_three(started):
    arguments = {'overlay': 'true', 'config_file': 'some.json', 'width': '1920', 'slots': '2'}
    _, apart = started(**arguments)
    lines, together = started(**arguments, composed='true', namespace='front')
    assert lines == []
    container = together.pop('container')
    assert container['executable'] == 'component_container'
    assert container['namespace'] == 'front'
    assert container['names'] == ['source', 'yolo', 'overlay']
    assert together == {'rdk_yolo_ros::SourceNode': apart['source'],
                        'rdk_yolo_ros::YoloNode': apart['yolo'],
                        'rdk_yolo_ros::OverlayNode': apart['overlay']}
