"""Source, YOLO node and overlay in one container: killed, told to end, loaded again and again."""

import signal
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('composition_interfaces')

from component_package import install_own, python_path  # noqa: E402
from composition_interfaces.srv import ListNodes, LoadNode, UnloadNode  # noqa: E402
from fault_graph import HW, OK, RED, Health, read, write_colour_model  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from scene_truth import stamp_of  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.frame import Frame  # noqa: E402


@pytest.fixture
def container(graph, processes, python, tmp_path):
    """Return a function that starts a container; call what it returns to load a node."""
    # One arena: what malloc keeps for each of many threads would look like growth.
    env = {'PYTHONPATH': python_path(install_own(tmp_path / 'installed')),
           'MALLOC_ARENA_MAX': '1'}

    def start():
        process = processes(
            python, '-c', 'import sys; from rdk_yolo_ros.nodes.executables import '
            'component_container; sys.exit(component_container())', env=env)
        wait_for_answers(graph, process)

        def load(name, **parameters):
            response = graph.call(LoadNode, '/ComponentManager/_container/load_node',
                                  LoadNode.Request(
                                      package_name='rdk_yolo_ros',
                                      plugin_name=f'rdk_yolo_ros::{name}Node',
                                      parameters=messages(parameters),
                                      extra_arguments=messages({'use_intra_process_comms': True})))
            assert response.success, response.error_message
            return response.unique_id

        return process, load

    return start


def wait_for_answers(graph, process):
    """Ask until a container answers: requests to one that was killed are lost for a while."""
    client = graph.node.create_client(ListNodes, '/ComponentManager/_container/list_nodes')
    future, end = None, time.monotonic() + 60.0
    while future is None or not future.done():
        assert process.is_running(), process.output
        assert time.monotonic() < end, process.output
        if client.wait_for_service(timeout_sec=0.2):
            future, asked = client.call_async(ListNodes.Request()), time.monotonic()
            while not future.done() and time.monotonic() - asked < 1.0:
                time.sleep(0.01)
    graph.node.destroy_client(client)


def messages(parameters):
    """Return parameter messages of {name: value}."""
    return [Parameter(name, value=value).to_parameter_msg() for name, value in parameters.items()]


@pytest.fixture
def everything(container, tmp_path):
    """Return a function that starts a container with all three nodes."""
    config = str(write_colour_model(tmp_path))

    def start():
        process, load = container()
        load('Yolo', config_file=config)
        load('Overlay')
        load('Source', width=320, height=240, rate=30.0)
        return process

    return start


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_busy_container_ends_as_told_and_its_successor_is_heard(graph, everything, number):
    results = graph.record(Detection2DArray, 'yolo/detections')
    pictures = graph.record(Image, 'overlay/image')
    process = everything()
    results.wait(10)
    pictures.wait(5)
    process.ends_at_once(number, code=-number if number == signal.SIGKILL else 0)
    if number == signal.SIGKILL:
        seen, shown = len(results), len(pictures)
        everything()
        results.wait(seen + 10)
        pictures.wait(shown + 5)


def test_nodes_loaded_and_unloaded_again_and_again_leave_nothing_behind(
        graph, container, tmp_path):
    config = str(write_colour_model(tmp_path))
    results = graph.record(Detection2DArray, 'yolo/detections')
    process, load = container()
    # One picture: of drawn scenes the source keeps more and more, up to its limit.
    cv2 = pytest.importorskip('cv2')
    cv2.imwrite(str(tmp_path / 'grey.png'), np.full((240, 320, 3), 90, np.uint8))
    load('Source', source=str(tmp_path / 'grey.png'), rate=30.0)
    readings = []
    for turn in range(15):
        number = load('Yolo', config_file=config)
        results.wait(len(results) + 3)
        answer = graph.call(UnloadNode, '/ComponentManager/_container/unload_node',
                            UnloadNode.Request(unique_id=number))
        assert answer.success, answer.error_message
        if turn >= 5:
            readings.append(read(process.pid))
    assert readings[-1].threads <= readings[0].threads
    assert readings[-1].descriptors <= readings[0].descriptors
    # Any rclpy node costs its process 0.1 MB for good, as measured; this is about models.
    assert readings[-1].own < readings[0].own + 5e6, [one.own for one in readings]
    assert 'Traceback' not in process.output


def test_a_bag_played_again_and_again_within_a_container(graph, container, tmp_path):
    pytest.importorskip('rosbags')
    from scene_bag import stamps, write_bag
    frame = Frame.from_nv12(np.frombuffer(RED, np.uint8).reshape(HW[0] * 3 // 2, HW[1]))
    write_bag(tmp_path / 'bag', zip(stamps(10, 20.0), [frame] * 10))
    results = graph.record(Detection2DArray, 'yolo/detections', 50)
    images = graph.record(Image, 'image_raw', 50)
    health = Health(graph)
    _, load = container()
    load('Yolo', config_file=str(write_colour_model(tmp_path)))
    load('Source', source=str(tmp_path / 'bag'), stamp='source', rate=20.0)
    report = health.wait(lambda now: now['published'] >= 60)
    assert report.level == OK
    # With a listener outside every image goes both ways, and counts once, however often its
    # stamp has been there.
    played = [stamp_of(result) for result in results.messages]
    assert len(set(played)) == 10
    assert (np.diff(played) < 0).sum() >= 4
    assert (np.diff(played) != 0).all()
    assert len(images) > 40
    assert report['result rate (Hz)'] < 25
