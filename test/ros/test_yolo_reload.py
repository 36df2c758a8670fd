"""`~/reload`: another model while images go on being processed."""

import json
from pathlib import Path
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'unit'))
onnx_models = pytest.importorskip('onnx_models')

from rcl_interfaces.srv import SetParameters  # noqa: E402
from rclpy.executors import MultiThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from stand_in_predictor import StandInPredictor, nv12_image  # noqa: E402
from std_srvs.srv import Trigger  # noqa: E402
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo  # noqa: E402

from rdk_yolo_ros.nodes import yolo  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def work(tmp_path):
    """Write a work configuration and its model: one instance, the same for every image."""
    path = tmp_path / 'work.json'

    def write(task='detect', names=('person', 'ball'), x=20.0, **keys):
        # End to end: x1 y1 x2 y2 score class, and two key points of a pose.
        row = [x, 10, x + 20, 30, .9, 1] + [x, 12, .8, x, 14, .7] * (task == 'pose')
        rows = np.zeros((1, 300, len(row)), np.float32)
        rows[0, 0] = row
        arrays = {'rows': rows}
        if task == 'classify':
            arrays, keys = {'logits': np.zeros((1, 2), np.float32)}, {**keys, 'softmax': True}
        onnx_models.constant(tmp_path / 'new.onnx', arrays)
        (tmp_path / 'new.onnx').replace(tmp_path / 'model.onnx')
        if task == 'pose':
            keys = {**keys, 'num_keypoints': 2}
        path.write_text(json.dumps({'model_file': 'model.onnx', 'task': task,
                                    'class_names': list(names), **keys}))
        return path

    return write


@pytest.fixture
def camera(graph):
    """Publish images at 50 Hz, numbered by their stamp's nanoseconds, until the test is over."""
    publisher = graph.publisher(Image, 'image_raw', 10)
    stop = threading.Event()

    def publish():
        seq = 0
        while not stop.wait(0.02):
            seq += 1
            publisher.publish(nv12_image(seq=seq))

    thread = threading.Thread(target=publish)
    thread.start()
    yield publisher
    stop.set()
    thread.join(5.0)


@pytest.fixture
def held(monkeypatch):
    """Let models open only while this is set; `held.asked` is set when one is to be opened."""
    gate = threading.Event()
    gate.set()
    gate.asked = threading.Event()
    open_predictor = yolo.open_predictor

    def opened(given):
        gate.asked.set()
        assert gate.wait(30.0)
        return open_predictor(given)

    monkeypatch.setattr(yolo, 'open_predictor', opened)
    yield gate
    gate.set()


def reload(graph):
    return graph.call(Trigger, '/yolo/reload', Trigger.Request())


def left_edge(message):
    box = message.detections[0].bbox
    return box.center.position.x - box.size_x / 2


def set_parameters(graph, **values):
    request = SetParameters.Request(parameters=[
        Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
    return graph.call(SetParameters, '/yolo/set_parameters', request).results


def begin_reload(graph, held):
    """Ask for a reload, wait until its model is being opened, and return the answer's future."""
    held.clear()
    held.asked.clear()
    client = graph.node.create_client(Trigger, '/yolo/reload')
    assert client.wait_for_service(timeout_sec=30.0)
    future = client.call_async(Trigger.Request())
    assert held.asked.wait(30.0)
    return future


def test_another_model_takes_over_between_two_frames(graph, make_node, work, camera, wait_until):
    node = make_node(config_file=str(work(x=20.0)))
    old = node._inference.model.predictor.runtime
    results = graph.record(Detection2DArray, '/yolo/detections', 100)
    results.wait(5)
    work(names=('cat', 'dog'), x=40.0)
    response = reload(graph)
    assert response.success, response.message
    assert response.message.startswith('detect model with 2 class(es) from ')
    results.wait(5, where=lambda r: left_edge(r) > 30)
    # First all of the old, then all of the new, each with its own names, and in order.
    seen = list(results.messages)
    edges = [left_edge(r) for r in seen]
    assert edges == sorted(edges)
    names = {r.detections[0].results[0].hypothesis.class_id for r in seen}
    assert names == {'ball', 'dog'}
    stamps = [r.header.stamp.nanosec for r in seen]
    assert stamps == sorted(stamps)
    wait_until(lambda: old.state == 'closed')
    assert node._inference.model.predictor.runtime.state == 'running'


def test_images_are_processed_while_the_model_is_read(
        graph, make_node, work, camera, held, wait_until):
    make_node(config_file=str(work()))
    results = graph.record(Detection2DArray, '/yolo/detections', 100)
    results.wait(5)
    future = begin_reload(graph, held)
    # Other services are answered, too; a second reload is refused.
    second = reload(graph)
    assert not second.success
    assert 'a reload is under way already, for ' in second.message
    assert set_parameters(graph, score_threshold=0.5)[0].successful
    seen = len(results)
    results.wait(seen + 20)
    assert not future.done()
    held.set()
    wait_until(future.done)
    assert future.result().success
    assert reload(graph).success


def test_the_task_may_change_and_the_topics_follow(
        graph, make_node, work, camera, wait_until):
    node = make_node(config_file=str(work()))
    results = graph.record(Detection2DArray, '/yolo/detections', 100)
    keypoints = graph.record(PointCloud2, '/yolo/keypoints', 100)
    infos = graph.record(LabelInfo, '/yolo/label_info', LATCHED)
    results.wait(5)
    publisher = node._inference.model.results._detections
    work('pose', names=('cat', 'dog'))
    assert reload(graph).message.startswith('pose model')
    keypoints.wait(3)
    # Whoever listened to the detections was never cut off.
    assert node._inference.model.results._detections is publisher
    seen = len(results)
    results.wait(seen + 5)
    assert [entry.class_name for entry in infos.wait(2)[1].class_map] == ['cat', 'dog']
    classes = graph.record(Classification, '/yolo/classification', 100)
    work('classify')
    assert reload(graph).message.startswith('classify model')
    classes.wait(3)
    for topic in ('/yolo/detections', '/yolo/keypoints'):
        wait_until(lambda topic=topic: graph.node.count_publishers(topic) == 0, what=topic)


@pytest.mark.parametrize(('spoil', 'reason'), [
    (lambda folder: (folder / 'model.onnx').write_bytes(b'rubbish' * 100), 'model.onnx'),
    (lambda folder: (folder / 'work.json').write_text('{"model_file"'), 'work.json'),
    (lambda folder: (folder / 'model.onnx').unlink(), 'model.onnx'),
    (lambda folder: (folder / 'work.json').unlink(), 'work.json')])
def test_what_cannot_be_read_changes_nothing_and_is_said(
        graph, make_node, work, camera, tmp_path, capfd, spoil, reason):
    node = make_node(config_file=str(work()))
    results = graph.record(Detection2DArray, '/yolo/detections', 100)
    results.wait(5)
    predictor = node._inference.model.predictor
    spoil(tmp_path)
    response = reload(graph)
    assert not response.success
    assert reason in response.message
    assert response.message.endswith('; the model stays as it is')
    assert node._inference.model.predictor is predictor
    seen = len(results)
    results.wait(seen + 5)
    assert 'reload failed' in capfd.readouterr().err
    work()
    assert reload(graph).success


def test_what_the_user_set_stays_and_the_rest_is_the_new_configuration_s(
        graph, make_node, work):
    node = make_node(config_file=str(work(score_threshold=0.3, max_detections=50)),
                     nms_threshold=0.6)
    assert set_parameters(graph, score_threshold=0.45)[0].successful
    work(score_threshold=0.2, nms_threshold=0.5, max_detections=70, nms_top_k=400)
    assert reload(graph).success
    options = node._inference.model.predictor.options
    assert (options.score_threshold, options.nms_threshold) == (0.45, 0.6)
    assert (options.max_detections, options.nms_top_k) == (70, 400)
    for name in ('score_threshold', 'nms_threshold', 'max_detections', 'nms_top_k'):
        assert node.get_parameter(name).value == getattr(options, name)
    # And what is set now concerns the new model.
    assert set_parameters(graph, max_detections=3)[0].successful
    assert node._inference.model.predictor.options.max_detections == 3


def test_a_model_without_the_classes_that_the_user_chose_is_refused(graph, make_node, work):
    node = make_node(config_file=str(work()), classes=['ball'])
    before = node._inference.model
    work(names=('cat', 'dog'))
    response = reload(graph)
    assert not response.success
    assert "classes has 'ball'" in response.message
    assert node._inference.model is before
    assert set_parameters(graph, classes=['person'])[0].successful
    assert before.predictor.options.classes == (0,)
    assert set_parameters(graph, classes=[''])[0].successful
    assert reload(graph).success


def test_an_unconfigured_node_has_nothing_to_reload(graph, make_node, work):
    make_node(config_file=str(work()), autostart=False)
    response = reload(graph)
    assert not response.success
    assert 'unconfigured' in response.message


def test_an_inactive_node_reloads(graph, make_node, work):
    node = make_node(config_file=str(work()), autostart=False)
    node.trigger_configure()
    work('pose')
    assert reload(graph).success
    assert node._inference.model.predictor.task == 'pose'


def test_a_predictor_that_was_passed_in_is_not_reloaded(graph, make_node):
    make_node(StandInPredictor())
    response = reload(graph)
    assert not response.success
    assert 'passed in' in response.message


def test_a_reload_ends_with_its_node_s_model(graph, make_node, work, held, wait_until):
    node = make_node(config_file=str(work()))
    future = begin_reload(graph, held)
    node.trigger_deactivate()
    node.trigger_cleanup()
    wait_until(future.done)
    assert not future.result().success
    held.set()
    wait_until(lambda: not any(t.name == 'reloading' for t in threading.enumerate()))
    assert node._inference is None
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert reload(graph).success


def test_cleaning_up_just_after_a_reload_frees_both_models_topics(graph, make_node, work):
    node = make_node(config_file=str(work('pose')), autostart=False)
    before = [publisher.topic_name for publisher in node.publishers]
    node.trigger_configure()
    work('detect')
    assert reload(graph).success
    assert any(publisher.topic_name == '/yolo/keypoints' for publisher in node.publishers)
    node.trigger_cleanup()
    assert [publisher.topic_name for publisher in node.publishers] == before


def test_a_reload_that_fails_at_its_topics_leaves_none_and_keeps_those_before(
        graph, make_node, work):
    node = make_node(**{'config_file': str(work('detect')),
                        'qos_overrides./yolo/keypoints.publisher.depth': 0})
    publishers, timers = set(node.publishers), set(node.timers)
    work('pose')
    response = reload(graph)
    assert not response.success
    assert response.message.startswith(
        'parameter qos_overrides./yolo/keypoints.publisher.depth is 0, expected a whole number '
        'from 1 to 1000; the model stays')
    assert (set(node.publishers), set(node.timers)) == (publishers, timers)


def test_a_reload_whose_model_comes_when_there_is_none_to_replace_is_refused(
        graph, make_node, work, held, wait_until):
    node = make_node(config_file=str(work()))
    future = begin_reload(graph, held)
    # As when the request came, on another thread, just after its cleanup had looked for one.
    node._inference, inference = None, node._inference
    held.set()
    wait_until(future.done)
    node._inference = inference
    assert not future.result().success
    assert 'there is no model to replace' in future.result().message


def test_a_hung_inference_does_not_keep_a_new_model_from_working(
        graph, make_node, work, camera, wait_until):
    node = make_node(config_file=str(work()), inference_timeout=30.0, slots=2)
    results = graph.record(Detection2DArray, '/yolo/detections', 100)
    results.wait(5)
    release = threading.Event()
    old = node._inference.model
    predict = old.predictor.predict
    hangs = iter([True])
    old.predictor.predict = lambda *args, **kwargs: (
        next(hangs, False) and release.wait(60.0), predict(*args, **kwargs))[1]
    wait_until(lambda: node._statistics.longest_running() > 0.5)
    work(x=40.0)
    assert reload(graph).success
    results.wait(1, where=lambda r: left_edge(r) > 30)
    release.set()
    wait_until(lambda: old.predictor.runtime.state == 'closed')


def test_reloading_works_on_several_threads(graph, work, camera, wait_until):
    node = YoloNode(context=graph.context, parameter_overrides=[
        Parameter('config_file', value=str(work()))])
    executor = MultiThreadedExecutor(2, context=graph.context)
    executor.add_node(node)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        results = graph.record(Detection2DArray, '/yolo/detections', 100)
        results.wait(2)
        work(x=40.0)
        assert reload(graph).success
        results.wait(2, where=lambda r: left_edge(r) > 30)
    finally:
        stop.set()
        thread.join(5.0)
        executor.shutdown(timeout_sec=2.0)
        node.destroy_node()


def test_many_reloads_leave_no_model_and_no_topic_behind(
        graph, make_node, work, camera, wait_until):
    node = make_node(config_file=str(work()))
    graph.record(Detection2DArray, '/yolo/detections', 100)
    publishers, timers = len(list(node.publishers)), len(list(node.timers))
    runtimes = []
    for count in range(6):
        runtimes.append(node._inference.model.predictor.runtime)
        work('pose' if count % 2 == 0 else 'detect')
        assert reload(graph).success
        time.sleep(0.05)
    wait_until(lambda: all(runtime.state == 'closed' for runtime in runtimes))
    wait_until(lambda: len(list(node.publishers)) == publishers)
    assert len(list(node.timers)) == timers
    assert not node._inference._retired
