"""The YOLO node on a real graph: what goes in, what comes out, and what it says of itself."""

from array import array
from functools import partial
import logging
from pathlib import Path
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
from rcl_interfaces.srv import DescribeParameters, SetParameters  # noqa: E402
import rclpy  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.exceptions import ParameterException  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, PointCloud2  # noqa: E402
from stand_in_predictor import NAMES, StandInPredictor, nv12_image  # noqa: E402
from vision_msgs.msg import Detection2DArray, LabelInfo  # noqa: E402

from rdk_yolo_ros.decode import DecodeOptions  # noqa: E402
from rdk_yolo_ros.detections import Detections  # noqa: E402
from rdk_yolo_ros.errors import ModelError, RuntimeLostError, WorkConfigError  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402
from rdk_yolo_ros.predictor import Prediction  # noqa: E402
from rdk_yolo_ros.runtimes import RestartingRuntime, Runtime  # noqa: E402

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def predictor():
    return StandInPredictor()


@pytest.fixture
def start(graph, wait_until):
    """Start a node; returns it once the publisher sees its subscription."""
    def _start(predictor, images=None, **parameters):
        node = graph.add(YoloNode(
            predictor=predictor, context=graph.context,
            parameter_overrides=[Parameter(name, value=value)
                                 for name, value in parameters.items()]))
        if images is not None:
            wait_until(lambda: images.get_subscription_count() == 1, what='the subscription')
        return node

    return _start


@pytest.fixture
def images(graph):
    return graph.publisher(Image, 'image_raw', 10)


@pytest.fixture
def watch(graph, wait_until):
    """Record a result topic; returns when the node sees the subscriber."""
    def _watch(message_type, topic, qos=10):
        recorder = graph.record(message_type, topic, qos)
        wait_until(lambda: graph.node.count_publishers(topic) == 1, what=f'a publisher of {topic}')
        time.sleep(0.3)  # the publisher's own discovery of the subscriber
        return recorder

    return _watch


def test_a_result_carries_its_image_s_header(graph, predictor, start, images, watch):
    start(predictor, images)
    results = watch(Detection2DArray, '/yolo/detections')
    keypoints = watch(PointCloud2, '/yolo/keypoints')
    message = nv12_image(seq=5)
    images.publish(message)
    (result,) = results.wait()
    assert result.header == message.header
    (detection,) = result.detections
    assert detection.results[0].hypothesis.class_id == 'ball'
    assert detection.results[0].hypothesis.score == 0.5
    assert (detection.bbox.center.position.x, detection.bbox.center.position.y) == (20.0, 40.0)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (20.0, 40.0)
    (cloud,) = keypoints.wait()
    assert cloud.header == message.header
    assert np.frombuffer(cloud.data, np.float32).tolist() == [11, 22, 0, 0.75, 13, 24, 0, 0.25]


def test_an_empty_result_is_published_too(predictor, start, images, watch):
    start(predictor, images)
    results = watch(Detection2DArray, '/yolo/detections')
    keypoints = watch(PointCloud2, '/yolo/keypoints')
    message = nv12_image(value=0)
    images.publish(message)
    (result,) = results.wait()
    assert result.detections == []
    assert result.header == message.header
    (cloud,) = keypoints.wait()
    assert (cloud.height, cloud.width, len(cloud.data)) == (0, 2, 0)


def test_a_best_effort_subscriber_gets_results_from_a_best_effort_camera(
        graph, predictor, start, watch):
    images = graph.publisher(Image, 'image_raw', BEST_EFFORT)
    start(predictor, images)
    results = watch(Detection2DArray, '/yolo/detections', BEST_EFFORT)
    images.publish(nv12_image())
    results.wait()


def test_a_mask_for_a_segmenting_model(start, images, watch):
    start(StandInPredictor('segment'), images)
    masks = watch(Image, '/yolo/mask')
    message = nv12_image()
    images.publish(message)
    (mask,) = masks.wait()
    assert (mask.header, mask.encoding) == (message.header, 'mono8')
    assert (mask.height, mask.width, mask.step) == (48, 64, 64)
    assert set(mask.data) == {1}


@pytest.mark.parametrize(('task', 'topics'), [
    ('detect', {'/yolo/detections', '/yolo/label_info'}),
    ('pose', {'/yolo/detections', '/yolo/label_info', '/yolo/keypoints'}),
    ('segment', {'/yolo/detections', '/yolo/label_info', '/yolo/mask'})])
def test_a_task_has_the_topics_it_can_fill(start, wait_until, task, topics):
    node = start(StandInPredictor(task))
    topics.add('/yolo/transition_event')

    def published():
        return {topic for topic, _ in node.get_publisher_names_and_types_by_node('yolo', '/')
                if topic.startswith('/yolo/')}

    # The graph comes to know of a publisher a moment after it is made.
    wait_until(lambda: published() >= topics)
    assert published() == topics


def test_nothing_is_predicted_while_nobody_listens(predictor, start, images, watch, wait_until):
    node = start(predictor, images)
    for seq in range(20):
        images.publish(nv12_image(seq=seq))
        time.sleep(0.01)
    wait_until(lambda: node._statistics.total('unwatched') > 0)
    assert predictor.calls == 0
    results = watch(Detection2DArray, '/yolo/detections')
    images.publish(nv12_image(seq=99))
    (result,) = results.wait()
    assert result.header.frame_id == 'camera_99'
    assert predictor.calls == 1


def test_key_points_are_computed_only_for_a_listener(predictor, start, images, watch):
    start(predictor, images)
    results = watch(Detection2DArray, '/yolo/detections')
    images.publish(nv12_image())
    results.wait()
    assert predictor.extras == [False]
    watch(PointCloud2, '/yolo/keypoints')
    images.publish(nv12_image())
    results.wait(2)
    assert predictor.extras == [False, True]


def test_a_slow_model_skips_to_the_newest_image(predictor, start, images, watch, wait_until):
    node = start(predictor, images)
    results = watch(Detection2DArray, '/yolo/detections')

    def have_received(count):
        return node._images.received == count

    predictor.gate.clear()
    images.publish(nv12_image(seq=0))
    wait_until(lambda: predictor.calls == 1)
    for seq in range(1, 30):
        images.publish(nv12_image(seq=seq))
        wait_until(partial(have_received, seq + 1))
    predictor.gate.set()
    assert [r.header.frame_id for r in results.wait(2)] == ['camera_0', 'camera_29']
    assert node._statistics.total('dropped') == 28


def test_whoever_comes_late_gets_the_label_info(predictor, start, watch):
    start(predictor)
    time.sleep(0.5)
    (info,) = watch(LabelInfo, '/yolo/label_info', LATCHED).wait()
    assert [(c.class_id, c.class_name) for c in info.class_map] == list(enumerate(NAMES))
    assert info.threshold == pytest.approx(0.25)


def test_class_ids_are_numbers_when_wanted(predictor, start, images, watch):
    start(predictor, images, class_id_format='index')
    results = watch(Detection2DArray, '/yolo/detections')
    images.publish(nv12_image())
    assert results.wait()[0].detections[0].results[0].hypothesis.class_id == '1'


def test_compressed_images(graph, predictor, start, watch):
    import cv2
    images = graph.publisher(CompressedImage, 'image_raw/compressed', BEST_EFFORT)
    start(predictor, images, image_transport='compressed')
    results = watch(Detection2DArray, '/yolo/detections')
    _, jpeg = cv2.imencode('.jpg', np.full((48, 64, 3), 200, np.uint8))
    message = CompressedImage(header=nv12_image().header, format='jpeg',
                              data=array('B', jpeg.tobytes()))
    images.publish(message)
    (result,) = results.wait()
    assert result.header == message.header


@pytest.mark.parametrize('publisher_first', [True, False])
def test_auto_transport_follows_the_publisher_s_type(
        graph, predictor, start, watch, wait_until, publisher_first):
    import cv2
    other = Context()  # one participant cannot have two types on a topic
    rclpy.init(context=other)
    camera = rclpy.node.Node('camera', context=other)
    try:
        if publisher_first:
            images = camera.create_publisher(CompressedImage, 'image', BEST_EFFORT)
            wait_until(lambda: graph.node.count_publishers('/image') == 1)
            node = start(predictor, image_topic='image')
        else:
            node = start(predictor, image_topic='image')
            assert node._images.transport == 'raw'
            images = camera.create_publisher(CompressedImage, 'image', BEST_EFFORT)
        results = watch(Detection2DArray, '/yolo/detections')
        wait_until(lambda: node._images.transport == 'compressed')
        wait_until(lambda: images.get_subscription_count() == 1)
        _, jpeg = cv2.imencode('.jpg', np.full((48, 64, 3), 200, np.uint8))
        images.publish(CompressedImage(format='jpeg', data=array('B', jpeg.tobytes())))
        results.wait()
    finally:
        camera.destroy_node()
        other.try_shutdown()


def test_the_topic_can_be_remapped_and_sits_in_the_namespace(graph, predictor):
    node = graph.add(YoloNode(
        'eyes', predictor=predictor, context=graph.context, namespace='/robot',
        cli_args=['--ros-args', '-r', 'image_raw:=camera/front']))
    assert node._images.topic_name == '/robot/camera/front'
    assert node._inference.model.results._detections.topic_name == '/robot/eyes/detections'


# Bad images


def bad_images():
    truncated = nv12_image()
    truncated.data = truncated.data[:100]
    unknown = nv12_image()
    unknown.encoding = 'bayer_rggb12'
    empty = Image(encoding='nv12')
    step = nv12_image()
    step.step = 3
    return [truncated, unknown, empty, step]


def random_image(rng):
    encodings = ['nv12', 'bgr8', 'rgb8', 'mono8', 'yuv422', '16UC1', '', 'jpeg', 'é' * 20]
    return Image(
        encoding=encodings[rng.integers(len(encodings))],
        height=int(rng.choice([0, 1, 3, 480, 2**31, 2**32 - 1])),
        width=int(rng.choice([0, 1, 3, 640, 2**31, 2**32 - 1])),
        step=int(rng.choice([0, 1, 640, 2**32 - 1])),
        is_bigendian=int(rng.integers(2)),
        data=array('B', rng.bytes(int(rng.integers(0, 5000)))))


def test_bad_images_are_counted_and_named_and_the_next_good_one_is_processed(
        graph, predictor, start, images, watch, wait_until):
    node = start(predictor, images)
    lines = []
    node._complaints._log = lines.append
    results = watch(Detection2DArray, '/yolo/detections')
    rng = np.random.default_rng(7)
    bad = bad_images() + [random_image(rng) for _ in range(20)]

    def at_least(count):
        return count <= node._statistics.total('failed') + node._statistics.total('published')

    for seq, message in enumerate(bad, 1):
        images.publish(message)
        wait_until(partial(at_least, 2 * seq - 1), what='the bad image')
        images.publish(nv12_image(seq=seq))
        results.wait(seq, where=lambda r: r.header.frame_id.startswith('camera_'))
    assert node._statistics.total('failed') == sum(node._complaints.counts().values())
    assert node._statistics.total('failed') >= 20
    named = ' '.join(lines)
    assert '/image_raw' in named
    assert 'bayer_rggb12' in named
    for reason in node._complaints.counts():
        like_it = [line for line in lines if line.startswith(reason[:60].split('#')[0])]
        assert like_it or reason == 'other'


def test_one_reason_is_named_once_a_second_at_most(predictor, start, images, watch, wait_until):
    node = start(predictor, images)
    lines = []
    node._complaints._log = lines.append
    watch(Detection2DArray, '/yolo/detections')
    bad = bad_images()[0]

    def have_failed(count):
        return node._statistics.total('failed') == count

    begin = time.monotonic()
    for count in range(1, 51):
        images.publish(bad)
        wait_until(partial(have_failed, count), what='the bad image')
    assert list(node._complaints.counts().values()) == [50]
    assert 1 <= len(lines) <= 1 + (time.monotonic() - begin)


def test_a_failing_model_is_named_and_the_next_image_is_processed(
        predictor, start, images, watch, wait_until):
    node = start(predictor, images)
    lines = []
    node._complaints._log = lines.append
    results = watch(Detection2DArray, '/yolo/detections')
    predict, predictor.predict = predictor.predict, lambda *a, **k: 1 // 0
    images.publish(nv12_image(seq=1))
    wait_until(lambda: lines)
    assert 'ZeroDivisionError' in lines[0]
    predictor.predict = predict
    images.publish(nv12_image(seq=2))
    results.wait(where=lambda r: r.header.frame_id == 'camera_2')


# Parameters


def set_parameters(graph, **values):
    request = SetParameters.Request(parameters=[
        Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
    return graph.call(SetParameters, '/yolo/set_parameters', request).results


def test_thresholds_and_classes_change_while_the_node_runs(graph, predictor, start, watch):
    node = start(predictor)
    infos = watch(LabelInfo, '/yolo/label_info', LATCHED)
    infos.wait()
    results = set_parameters(graph, score_threshold=0.5, nms_threshold=0.25, max_detections=7,
                             nms_top_k=9, classes=['robot', 'person'])
    assert all(result.successful for result in results), results
    assert predictor.options == DecodeOptions(0.5, 0.25, 9, 7, classes=(2, 0))
    assert node.get_parameter('score_threshold').value == 0.5
    assert infos.wait(2)[1].threshold == pytest.approx(0.5)
    assert set_parameters(graph, classes=[1])[0].successful
    assert predictor.options.classes == (1,)
    assert set_parameters(graph, classes=['2', ' ball '])[0].successful
    assert predictor.options.classes == (2, 1)
    assert set_parameters(graph, classes='person,ball')[0].successful
    assert predictor.options.classes == (0, 1)
    assert set_parameters(graph, classes=[''])[0].successful
    assert predictor.options.classes is None


@pytest.mark.parametrize(('name', 'value', 'reason'), [
    ('score_threshold', 1.5, 'score_threshold'),
    ('score_threshold', float('nan'), 'score_threshold'),
    ('score_threshold', 'high', 'DOUBLE'),
    ('max_detections', 0, 'max_detections'),
    ('classes', ['persn'], 'did you mean person?'),
    ('classes', ['unicorn'], 'the classes are person, ball, robot'),
    ('score_threshold', -0.1, 'score_threshold'),
    ('nms_threshold', 1.01, 'nms_threshold'),
    ('nms_top_k', 0, 'nms_top_k'),
    ('nms_top_k', 2.0, 'INTEGER'),
    ('max_detections', 65536, 'max_detections'),
    ('autostart', False, 'read-only'),
    ('classes', [17], '17'),
    ('classes', True, 'array of class names'),
    ('classes', 0.5, 'array of class names'),
    ('config_file', 'other.json', 'read-only'),
    ('runtime', 'onnx', 'read-only')])
def test_a_refused_parameter_says_why_and_changes_nothing(
        graph, predictor, start, name, value, reason):
    node = start(predictor)
    before = node.get_parameter(name).value
    (result,) = set_parameters(graph, **{name: value})
    assert not result.successful
    assert reason in result.reason
    assert predictor.options == DecodeOptions()
    assert node.get_parameter(name).value == before


def test_the_parameters_show_what_is_in_force(start, predictor):
    predictor.options = DecodeOptions(score_threshold=0.4, nms_top_k=123)
    node = start(predictor, nms_threshold=0.5, classes=['ball'])
    assert node.get_parameter('score_threshold').value == 0.4
    assert node.get_parameter('nms_top_k').value == 123
    assert predictor.options.nms_threshold == 0.5
    assert predictor.options.classes == (1,)


def test_every_parameter_describes_itself(graph, predictor, start):
    node = start(predictor)
    names = [name for name in node._parameters if name not in ('use_sim_time',)
             and not name.startswith('start_type_description')]
    response = graph.call(DescribeParameters, '/yolo/describe_parameters',
                          DescribeParameters.Request(names=names))
    assert all(descriptor.description for descriptor in response.descriptors), names
    by_name = {descriptor.name: descriptor for descriptor in response.descriptors}
    assert by_name['score_threshold'].floating_point_range[0].to_value == 1.0
    assert by_name['max_detections'].integer_range[0].from_value == 1
    assert 'compressed' in by_name['image_transport'].additional_constraints


@pytest.mark.parametrize(('name', 'value'), [
    ('image_transport', 'theora'), ('class_id_format', 'number'), ('score_threshold', 2.0),
    ('slots', -1), ('slots', 33), ('inference_timeout', -1.0), ('image_color_range', 'wide'),
    ('score_threshold', 'high')])
def test_a_wrong_parameter_at_the_start_is_an_error_that_names_it(
        graph, predictor, name, value):
    with pytest.raises(ParameterException, match=name):
        YoloNode(predictor=predictor, context=graph.context,
                 parameter_overrides=[Parameter(name, value=value)])


def test_a_wrong_class_at_the_start_is_an_error_that_names_it(graph, predictor):
    with pytest.raises(ParameterException, match='persn'):
        YoloNode(predictor=predictor, context=graph.context,
                 parameter_overrides=[Parameter('classes', value=['persn'])])


def test_without_a_configuration_the_error_says_how_to_give_one(graph):
    with pytest.raises(WorkConfigError, match='config_file:=PATH'):
        YoloNode(context=graph.context)


# Every parameter of dnn_node_example, a value that asks for something, and what is done with it.
DNN_NODE_EXAMPLE = {
    'config_file': ('some.json', 'taken'), 'ros_img_topic_name': ('/image', 'taken'),
    'feed_type': (0, 'said'), 'image': ('config/target.jpg', 'said'), 'image_type': (1, 'said'),
    'image_width': (960, 'said'), 'image_height': (544, 'said'),
    'is_shared_mem_sub': (0, 'taken'), 'sharedmem_img_topic_name': ('/left', 'said'),
    'dump_render_img': (1, 'said'), 'msg_pub_topic_name': ('hobot_dnn_detection', 'taken')}


def test_every_parameter_of_dnn_node_example_is_taken_or_said_to_have_no_effect(
        graph, predictor, capfd):
    node = graph.add(YoloNode(
        predictor=predictor, context=graph.context,
        parameter_overrides=[Parameter(name, value=value)
                             for name, (value, _) in DNN_NODE_EXAMPLE.items()]))
    assert node._images.topic_name == '/image'
    assert node.get_parameter('config_file').value == 'some.json'
    lines = [line for line in capfd.readouterr().err.splitlines() if 'has no effect' in line]
    for name, (_, done) in DNN_NODE_EXAMPLE.items():
        about_it = [line for line in lines if f'parameter {name} has no effect here: ' in line]
        assert len(about_it) == (done == 'said'), name
    assert len(lines) == [done for _, done in DNN_NODE_EXAMPLE.values()].count('said')


def test_nothing_is_said_of_dnn_node_example_s_parameters_that_ask_for_what_is_done_anyway(
        graph, predictor, capfd):
    node = graph.add(YoloNode(
        predictor=predictor, context=graph.context,
        parameter_overrides=[Parameter(name, value=value) for name, value in (
            ('feed_type', 1), ('is_shared_mem_sub', 0), ('dump_render_img', 0))]))
    assert 'no effect' not in capfd.readouterr().err
    assert not node.has_parameter('image_width')


def test_an_image_topic_under_both_names_is_the_own_one_and_the_other_is_said(
        graph, predictor, capfd):
    node = graph.add(YoloNode(
        predictor=predictor, context=graph.context,
        parameter_overrides=[Parameter('image_topic', value='/camera'),
                             Parameter('ros_img_topic_name', value='/image')]))
    assert node._images.topic_name == '/camera'
    assert 'ros_img_topic_name has no effect here: image_topic' in capfd.readouterr().err


# Diagnostics


def test_an_image_stamped_before_the_epoch_is_an_image(predictor, start, images, watch):
    start(predictor, images)
    results = watch(Detection2DArray, '/yolo/detections')
    statuses = watch(DiagnosticArray, '/diagnostics')
    message = nv12_image()
    message.header.stamp.sec = -1
    images.publish(message)
    assert results.wait()[0].header.stamp.sec == -1
    values = {pair.key: pair.value for pair in statuses.wait(
        where=lambda m: {p.key: p.value for p in m.status[0].values}['published'] == '1'
    )[0].status[0].values}
    assert values['dropped: failed'] == '0'


def test_diagnostics_tell_rates_drops_and_latencies(predictor, start, images, watch, wait_until):
    node = start(predictor, images)
    watch(Detection2DArray, '/yolo/detections')
    statuses = watch(DiagnosticArray, '/diagnostics')
    stop = time.monotonic() + 2.5
    while time.monotonic() < stop:
        message = nv12_image()
        message.header.stamp = node.get_clock().now().to_msg()
        images.publish(message)
        time.sleep(0.02)
    status = statuses.messages[-1].status[0]
    assert status.name == 'yolo: inference'
    assert status.level == DiagnosticStatus.OK
    values = {pair.key: pair.value for pair in status.values}
    assert float(values['input rate (Hz)']) > 10
    assert float(values['result rate (Hz)']) > 10
    for stage in ('wait', 'convert', 'letterbox', 'infer', 'decode', 'turn', 'publish',
                  'stamp to result'):
        assert float(values[f'{stage} p50 (ms)']) <= float(values[f'{stage} p95 (ms)'])
    assert values['runtime'] == 'stand-in'
    assert values['dropped: failed'] == '0'
    truncated = bad_images()[0]
    images.publish(truncated)
    bad = statuses.wait(where=lambda m: m.status[0].level == DiagnosticStatus.WARN)[0].status[0]
    assert any(pair.key.startswith('failed: /image_raw') for pair in bad.values)


def test_diagnostics_say_that_no_images_come(predictor, start, watch):
    start(predictor)
    statuses = watch(DiagnosticArray, '/diagnostics')
    (first,) = statuses.wait()
    assert first.status[0].level == DiagnosticStatus.WARN
    assert 'no images on /image_raw: no publisher' in first.status[0].message


def test_a_slow_camera_is_no_missing_one(predictor, start, images, watch, wait_until):
    node = start(predictor, images)
    watch(Detection2DArray, '/yolo/detections')
    images.publish(nv12_image())
    wait_until(lambda: node._statistics.total('published') == 1)
    node._report._tick()  # two reports without an image between them
    node._report._tick()
    status = node._report.message().status[0]
    assert (status.level, status.message) == (DiagnosticStatus.OK, 'running')
    node._statistics._clock = lambda: time.monotonic() + 10.0
    status = node._report.message().status[0]
    assert status.level == DiagnosticStatus.WARN
    assert status.message == 'no images on /image_raw: although it has 1 publisher(s)'


def arrival(seq=1):
    return SimpleNamespace(message=nv12_image(seq=seq), at=time.monotonic())


def test_a_model_that_hangs_is_given_up_and_told_of(graph, predictor, images, watch, wait_until):
    node = graph.add(YoloNode(
        predictor=predictor, context=graph.context,
        parameter_overrides=[Parameter('inference_timeout', value=0.2)]))
    lines = []
    node._complaints._log = lines.append
    results = watch(Detection2DArray, '/yolo/detections')
    predictor.gate.clear()
    node._inference.pipeline.submit(arrival())
    wait_until(lambda: node._statistics.total('inference timeout') == 1)
    status = node._report.message().status[0]
    assert status.level == DiagnosticStatus.WARN
    assert status.message.startswith('1 inference(s) were given up and have not returned')
    values = {pair.key: pair.value for pair in status.values}
    assert (values['dropped: given up'], values['inference timeouts']) == ('1', '1')
    assert 'InferenceTimeoutError' in lines[0]
    # Another thread has the slot, and takes the next image.
    node._inference.model.predictor = SimpleNamespace(
        predict=lambda frame, extras: Prediction(Detections.empty('pose', 2), {}),
        runtime=predictor.runtime)
    images.publish(nv12_image(seq=2))
    results.wait(where=lambda r: r.header.frame_id == 'camera_2')
    node._inference.model.predictor = predictor
    predictor.gate.set()
    wait_until(lambda: node._inference.pipeline.hung == 0)
    assert [r.header.frame_id for r in results.messages] == ['camera_2']


def test_a_model_that_never_returns_is_an_error(graph, predictor, wait_until):
    node = graph.add(YoloNode(
        predictor=predictor, context=graph.context,
        parameter_overrides=[Parameter('inference_timeout', value=0.1)]))
    predictor.gate.clear()
    for calls in range(1, 4):
        node._inference.pipeline.submit(arrival(calls))
        wait_until(lambda calls=calls: predictor.calls == calls)
        wait_until(lambda calls=calls: node._inference.pipeline.stats.timed_out == calls)
    status = node._report.message().status[0]
    assert status.level == DiagnosticStatus.ERROR
    assert '3 inferences have not returned, no slot is left' in status.message
    predictor.gate.set()


class StandInRuntime(Runtime):
    """A stand-in for a runtime: it is lost at once, and `busy` keeps it from being opened."""

    name = 'stand-in'
    busy = False

    def __init__(self, on_close=lambda: None):
        if self.busy:
            raise ModelError('the BPU is busy')
        self.path, self.input_hw, self.outputs = Path('m.bin'), (640, 640), []
        self.on_close = on_close

    def run(self, nv12):
        raise RuntimeLostError('the worker is gone')

    def close(self):
        self.on_close()


def test_a_runtime_that_never_returns_is_opened_again_and_goes_on(
        graph, predictor, images, watch, wait_until):
    # What hangs in the old one returns when that is closed.
    predictor.runtime = RestartingRuntime(lambda: StandInRuntime(predictor.gate.set), 0.05)
    node = graph.add(YoloNode(
        predictor=predictor, context=graph.context,
        parameter_overrides=[Parameter('inference_timeout', value=0.1)]))
    results = watch(Detection2DArray, '/yolo/detections')
    predictor.gate.clear()
    for calls in range(1, 4):
        node._inference.pipeline.submit(arrival(calls))
        wait_until(lambda calls=calls: node._inference.pipeline.stats.timed_out == calls)
    wait_until(lambda: predictor.runtime.restarts == 1)
    wait_until(lambda: not node._inference.pipeline.is_stuck)
    images.publish(nv12_image(seq=9))
    results.wait(where=lambda r: r.header.frame_id == 'camera_9')
    assert len(results) == 1
    assert '3 inferences' in predictor.runtime.last_error
    wait_until(lambda: node._inference.pipeline.hung == 0)
    predictor.runtime.close()


def test_a_lost_runtime_s_state_is_told_and_its_frames_are_counted_quietly(
        graph, predictor, wait_until, monkeypatch):
    predictor.runtime = RestartingRuntime(StandInRuntime)
    monkeypatch.setattr(StandInRuntime, 'busy', True)
    predictor.predict = lambda frame, extras: predictor.runtime.run(None)
    node = graph.add(YoloNode(predictor=predictor, context=graph.context))
    lines = []
    node._complaints._log = lines.append
    try:
        for count in range(1, 6):
            node._inference.pipeline.submit(arrival(count))
            wait_until(lambda count=count: node._statistics.total('failed') == count)
        status = node._report.message().status[0]
        assert status.level == DiagnosticStatus.ERROR
        assert status.message == 'the runtime is reopening: the worker is gone'
        values = {pair.key: pair.value for pair in status.values}
        assert (values['runtime state'], values['runtime restarts']) == ('reopening', '0')
        wait_until(lambda: predictor.runtime.last_error == 'ModelError: the BPU is busy')
    finally:
        predictor.runtime.close()
    assert lines == []
    assert sum(node._complaints.counts().values()) == 5


# The library's log


def test_the_library_s_log_is_in_the_node_s_log(predictor, start, capfd):
    node = start(predictor)
    library = logging.getLogger('rdk_yolo_ros.work_config')
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        library.log(level, 'said at %s', logging.getLevelName(level))
    lines = [line for line in capfd.readouterr().err.splitlines() if 'said at' in line]
    assert [line.split()[0] for line in lines] == ['[INFO]', '[WARN]', '[ERROR]', '[FATAL]']
    assert all('[yolo]: said at' in line for line in lines)
    node.destroy_node()


def test_a_line_of_the_library_appears_once_and_as_before_after_the_nodes(
        graph, predictor, capfd):
    root, library = logging.getLogger(), logging.getLogger('rdk_yolo_ros')
    before = (library.level, library.propagate, list(library.handlers))
    terminal = logging.StreamHandler()
    root.addHandler(terminal)
    try:
        nodes = [YoloNode(name, predictor=predictor, context=graph.context)
                 for name in ('one', 'two')]
        library.warning('both are there')
        nodes[0].destroy_node()
        library.warning('the second is there')
        nodes[1].destroy_node()
        library.warning('no node is there')
    finally:
        root.removeHandler(terminal)
    log = capfd.readouterr().err
    for who in ('both are', 'the second is', 'no node is'):
        assert log.count(f'{who} there') == 1, log
    assert '[two]: the second is there' in log
    assert (library.level, library.propagate, library.handlers) == before


# Ending


def test_destroying_a_busy_node_ends_its_threads(graph, predictor, images, watch, wait_until):
    node = YoloNode(predictor=predictor, context=graph.context)
    predictor.gate.clear()
    node._inference.pipeline.submit(SimpleNamespace(message=nv12_image(), at=0.0))
    wait_until(lambda: predictor.calls == 1)
    threading.Timer(0.2, predictor.gate.set).start()
    assert node.destroy_node() is True
    assert not predictor.closed


def test_destroying_a_node_with_a_hung_model_takes_a_second(graph, predictor, wait_until):
    node = YoloNode(predictor=predictor, context=graph.context)
    predictor.gate.clear()
    node._inference.pipeline.submit(SimpleNamespace(message=nv12_image(), at=0.0))
    wait_until(lambda: predictor.calls == 1)
    begin = time.monotonic()
    assert node.destroy_node() is False
    assert time.monotonic() - begin < 2.0
    predictor.gate.set()
