"""Signals at moments of a managed node's life; test_yolo_process.py has those of any node's."""

import signal

import pytest

pytest.importorskip('rclpy')
onnx = pytest.importorskip('onnx')

from fault_graph import BEST_EFFORT, RED, Camera, Health, image, write_colour_model  # noqa: E402
import numpy as np  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_while_it_waits_for_a_lifecycle_manager(graph, start, tmp_path, number):
    yolo = start('yolo', config_file=write_colour_model(tmp_path), autostart='false')
    # It is there, and has nothing yet.
    assert not graph.call(Trigger, '/yolo/reload', Trigger.Request()).success
    yolo.ends_at_once(number)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_while_it_is_disabled_and_just_enabled(graph, start, tmp_path, number):
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    publisher = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    with Camera(publisher, lambda: image(RED), 30.0):
        results.wait(5)
        for enabled in (False, True, False)[:2 + (number == signal.SIGINT)]:
            assert graph.call(SetBool, '/yolo/enable', SetBool.Request(data=enabled)).success
        yolo.ends_at_once(number)


def make_slow_to_open(path):
    """Give a model constants that take ONNX Runtime many seconds to compute when it opens it."""
    model = onnx.load(str(path))
    graph = model.graph
    for node in graph.node:
        node.input[:] = ['checked' if name == 'images' else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(np.array([1500, 1500], np.int64), 'size'))
    count = 200
    slow = [helper.make_node('ConstantOfShape', ['size'], ['power0']),
            *(helper.make_node('MatMul', [f'power{i}', 'power0'], [f'power{i + 1}'])
              for i in range(count)),
            helper.make_node('ReduceMean', [f'power{count}'], ['zero'], keepdims=0),
            helper.make_node('Add', ['images', 'zero'], ['checked'])]
    nodes = [*slow, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, str(path))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_while_a_reload_takes_its_time(graph, start, tmp_path, number):
    yolo = start('yolo', config_file=write_colour_model(tmp_path))
    yolo.wait_for_line('images from')
    results = graph.record(Detection2DArray, 'yolo/detections')
    health = Health(graph)
    make_slow_to_open(tmp_path / 'model.onnx')
    client = graph.node.create_client(Trigger, '/yolo/reload')
    assert client.wait_for_service(30.0)
    publisher = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    with Camera(publisher, lambda: image(RED), 30.0):
        answer = client.call_async(Trigger.Request())
        health.wait(lambda now: now.values['reloading'] == 'True')
        results.wait(len(results) + 15)
        assert not answer.done()
        yolo.ends_at_once(number)


def test_while_it_loads_its_first_model(graph, start, tmp_path, wait_until):
    config = write_colour_model(tmp_path)
    make_slow_to_open(tmp_path / 'model.onnx')
    yolo = start('yolo', config_file=config)
    # The node is there before its model, and its first services with it.
    wait_until(lambda: 'yolo' in graph.node.get_node_names(), what='the node')
    assert yolo.is_running()
    assert yolo.output == ''
    yolo.ends_at_once(signal.SIGTERM)
