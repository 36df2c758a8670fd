"""TROS on both sides of the node: shared-memory images from another process, ai_msgs results."""

from pathlib import Path
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('onnxruntime')
pytest.importorskip('ai_msgs')
pytest.importorskip('hbm_img_msgs')

from ai_msgs.msg import PerceptionInfo, PerceptionTargets  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from hbm_img_msgs.msg import HbmMsg480P, HbmMsg540P  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import qos_profile_sensor_data  # noqa: E402
from scene_truth import match, stamp_of  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.detections import Detections  # noqa: E402
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription  # noqa: E402
from rdk_yolo_ros.nodes.images import frame_from_message  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402
from rdk_yolo_ros.predictor import Predictor  # noqa: E402
from rdk_yolo_ros.scenes import CLASS_NAMES  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
# A folder of its own: beside it lie stand-ins of libraries, which are not to be found here.
STAND_INS = ROOT / 'test' / 'stand_ins' / 'tros'
sys.path += [str(ROOT / 'dev' / 'demo'), str(STAND_INS)]
from received import detections_from, keypoints_from  # noqa: E402
from tros_camera import film, image_message  # noqa: E402

FRAMES = 7  # a prime number: whoever takes every n-th image gets to see them all
STEPS = ['preprocess', 'predict_infer', 'predict_parse', 'postprocess', 'pipeline']


def config(task):
    return ROOT / 'config' / f'demo_{task}.json'


@pytest.fixture
def camera(processes, python):
    """Return a function that starts the stand-in for TROS' camera nodes."""
    def start(kind, encoding, width, height, rate=4.0, topic='/hbmem_img'):
        return processes(python, STAND_INS / 'tros_camera.py', kind, encoding, width, height,
                         FRAMES, rate, topic)

    return start


def target_boxes(message):
    """Return the rectangles of a PerceptionTargets as Detections."""
    rects = [target.rois[0].rect for target in message.targets]
    return Detections(
        np.array([[rect.x_offset, rect.y_offset, rect.x_offset + rect.width,
                   rect.y_offset + rect.height] for rect in rects], np.float32).reshape(-1, 4),
        np.array([target.rois[0].confidence for target in message.targets], np.float32),
        np.array([CLASS_NAMES.index(target.type) for target in message.targets], np.int32))


@pytest.mark.parametrize(('task', 'kind', 'encoding', 'width', 'height', 'wanted'), [
    ('detect', 'HbmMsg1080P', 'nv12', 1920, 1080, 1),
    ('pose', 'HbmMsg480P', 'bgr8', 640, 480, 'true')])
def test_targets_agree_with_the_detections_and_with_the_scene(
        graph, start, camera, wait_until, task, kind, encoding, width, height, wanted):
    truth = [scene.instances for scene in film(width, height, FRAMES)]
    if task == 'pose':
        truth = [[instance for instance in instances
                  if CLASS_NAMES[instance.class_id] == 'person'] for instances in truth]
    perceived = graph.record(PerceptionTargets, 'hobot_dnn_detection')
    infos = graph.record(PerceptionInfo, 'hobot_dnn_detection_info')
    detected = graph.record(Detection2DArray, 'yolo/detections')
    clouds = graph.record(PointCloud2, 'yolo/keypoints')
    yolo = start('yolo', config_file=config(task), score_threshold=0.5, is_shared_mem_sub=wanted)
    camera(kind, encoding, width, height)

    def frames_seen():
        complete = [{stamp_of(message): message for message in list(recorder.messages)}
                    for recorder in ((perceived, detected, clouds) if task == 'pose' else
                                     (perceived, detected))]
        return {stamp: tuple(messages[stamp] for messages in complete)
                for stamp in set.intersection(*map(set, complete))}

    def number(messages):
        return int(messages[0].header.frame_id) % FRAMES

    wait_until(lambda: len({number(messages) for messages in frames_seen().values()}) == FRAMES,
               what='targets and detections of every frame')
    assert 'images from /hbmem_img' in yolo.output

    found = matched = true = 0
    errors = []
    for messages in {number(messages): messages for messages in frames_seen().values()}.values():
        instances, (targets, detections) = truth[number(messages)], messages[:2]
        assert targets.header == detections.header
        boxes, published = target_boxes(targets), detections_from(detections, CLASS_NAMES)
        np.testing.assert_array_equal(boxes.class_ids, published.class_ids)
        np.testing.assert_allclose(boxes.scores, published.scores, rtol=1e-6)
        np.testing.assert_allclose(boxes.boxes, published.boxes, atol=0.501)
        pairs = match(boxes, instances)
        found, matched, true = found + len(boxes), matched + len(pairs), true + len(instances)
        if task == 'detect':
            assert all(target.rois[0].type == target.type for target in targets.targets)
            assert not any(target.points for target in targets.targets)
            continue
        keypoints = keypoints_from(messages[2])
        for i, target in enumerate(targets.targets):
            (points,) = target.points
            assert (target.type, target.rois[0].type) == ('person', 'body')
            assert points.type == 'body_kps'
            np.testing.assert_array_equal(
                np.array([(point.x, point.y) for point in points.point], np.float32),
                keypoints[i, :, :2])
            np.testing.assert_array_equal(np.array(points.confidence, np.float32),
                                          keypoints[i, :, 2])
        for i, j in pairs:
            visible = instances[j].keypoints[:, 2] == 2
            side = np.sqrt(np.prod(instances[j].box[2:] - instances[j].box[:2]))
            errors += list(np.linalg.norm(
                keypoints[i, visible, :2] - instances[j].keypoints[visible, :2], axis=1) / side)
    print(f'recall {matched / true:.3f}, precision {matched / found:.3f}')
    assert matched / true >= 0.85
    assert matched / found >= 0.85
    if task == 'pose':
        assert np.median(errors) < 0.05

    # A busy machine may have less than one result in two seconds for a while.
    last = perceived.wait(where=lambda message: message.fps > 0)[0]
    assert last.fps <= 5  # of a camera's 4
    assert [perf.type for perf in last.perfs] == [f'demo_{task}_{step}' for step in STEPS]
    took = dict(zip(STEPS, (perf.time_ms_duration for perf in last.perfs)))
    assert all(milliseconds > 0 for milliseconds in took.values())
    assert took['pipeline'] > took['preprocess'] + took['predict_infer'] + took['predict_parse']
    assert took['postprocess'] > took['predict_parse']
    info = infos.wait()[0]
    assert (info.height, info.width) == (height, width)
    assert list(info.class_names) == (['person'] if task == 'pose' else list(CLASS_NAMES))


@pytest.mark.parametrize(('transport', 'checked_by'), [
    ('shared_mem', 'executor'), ('auto', 'executor'), ('shared_mem', 'another thread')])
def test_the_publisher_s_kind_is_followed_and_pixels_are_not_copied_again(
        graph, camera, wait_until, transport, checked_by):
    received = []
    images = ImageSubscription(graph.node, '/some_images', transport, received.append)
    images.open()
    assert images.transport == ('HbmMsg1080P' if transport == 'shared_mem' else 'raw')
    camera('HbmMsg540P', 'nv12', 96, 54, topic='/some_images')

    if checked_by == 'executor':  # as the node does it
        graph.node.create_timer(0.2, lambda: images.check(time.monotonic()))
        wait_until(lambda: received, what='an image')
    else:  # while the executor may hold on to the first subscription
        wait_until(lambda: images.check(time.monotonic()) or received, what='an image')
    assert images.transport == 'HbmMsg540P'
    message = received[0]
    assert isinstance(message, HbmMsg540P)
    frame = frame_from_message(message)
    assert np.shares_memory(frame.data, message.data)
    np.testing.assert_array_equal(
        frame.to_nv12(), frame_from_message(image_message(
            'HbmMsg540P', 'nv12',
            film(96, 54, FRAMES)[message.index % FRAMES].image)).to_nv12())


@pytest.fixture
def node(graph):
    """Return a function that starts a node of the test's own with the demo model's detector."""
    predictor = Predictor.from_config(config('detect'), score_threshold=0.5)

    def start(**parameters):
        return graph.add(YoloNode(
            predictor=predictor, context=graph.context, parameter_overrides=[
                Parameter(name, value=value) for name, value in parameters.items()]))

    yield start
    predictor.close()


def test_malformed_images_are_counted_and_named_and_the_next_good_one_is_processed(
        graph, node, wait_until, capfd):
    publisher = graph.publisher(HbmMsg480P, '/hbmem_img', qos_profile_sensor_data)
    wait_until(lambda: graph.node.count_publishers('/hbmem_img') == 1)
    yolo = node(is_shared_mem_sub=1)
    results = graph.record(PerceptionTargets, '/hobot_dnn_detection')
    states = graph.record(DiagnosticArray, '/diagnostics')
    # Before any image arrives: whoever listens is discovered, and so is the publisher's type.
    wait_until(yolo._inference.model.results.is_watched)
    wait_until(lambda: yolo._images.transport == 'HbmMsg480P'
               and publisher.get_subscription_count() == 1, what='the subscription')
    good = image_message('HbmMsg480P', 'nv12', film(640, 480, 1)[0].image)
    bad = {name: image_message('HbmMsg480P', 'nv12', film(640, 480, 1)[0].image)
           for name in ('data_size', 'encoding', 'height')}
    bad['data_size'].data_size = 921601
    bad['encoding'].encoding[:5] = list(b'h265\0')
    bad['height'].height = 0
    good.index = len(bad)
    for number, message in enumerate(bad.values()):
        publisher.publish(message)
        wait_until(lambda expected=number + 1: yolo._statistics.total('failed') == expected,
                   what=f'image {number} to fail')
    publisher.publish(good)
    (result,) = results.wait()
    assert result.header.frame_id == str(len(bad))
    assert result.targets
    values = {value.key: value.value for value in states.wait(where=lambda message: any(
        value.key == 'dropped: failed' and value.value == '3'
        for value in message.status[0].values))[0].status[0].values}
    lines = [line for line in capfd.readouterr().err.splitlines()
             if '/hbmem_img: an image was left out: ' in line]
    for reason in ('HbmMsg480P has data_size', 'HbmMsg480P has encoding', 'has no pixels'):
        assert sum(reason in line for line in lines) == 1
        # The diagnostics count without regard to numbers.
        counted = [value for key, value in values.items()
                   if key.startswith('failed: ') and reason.replace('480', '#') in key]
        assert counted == ['1'], reason
    assert values['image transport'] == 'HbmMsg480P'


def test_nothing_is_inferred_or_built_for_nobody(graph, node, wait_until):
    images = graph.publisher(HbmMsg480P, '/hbmem_img', qos_profile_sensor_data)
    yolo = node(is_shared_mem_sub=True, msg_pub_topic_name='results')
    wait_until(lambda: images.get_subscription_count() == 1 or yolo._images.check(0.0),
               what='the subscription')
    message = image_message('HbmMsg480P', 'nv12', film(640, 480, 1)[0].image)

    def publish_until(condition):
        def check():
            images.publish(message)
            time.sleep(0.1)
            return condition()
        wait_until(check)

    publish_until(lambda: yolo._statistics.total('unwatched') >= 3)
    assert yolo._statistics.total('published') == 0
    results = graph.record(PerceptionTargets, '/results')
    publish_until(lambda: len(results))
    info = graph.record(PerceptionInfo, '/results_info')
    assert info.wait()[0].header.stamp.sec > 0


def test_ai_msgs_can_be_turned_off(graph, node):
    node(publish_ai_msgs=False)
    topics = dict(graph.node.get_topic_names_and_types())
    assert '/yolo/detections' in topics
    assert not any(types == ['ai_msgs/msg/PerceptionTargets'] for types in topics.values())


@pytest.fixture
def elsewhere(graph):
    """Return a graph of another participant: within one, a topic has one type."""
    elsewhere = type(graph)()
    yield elsewhere
    elsewhere.close()


def test_images_of_another_type_are_named_once(graph, elsewhere, node, wait_until, capfd):
    elsewhere.publisher(Image, '/hbmem_img')
    wait_until(lambda: graph.node.count_publishers('/hbmem_img') == 1)
    yolo = node(is_shared_mem_sub=1)
    wait_until(lambda: yolo._report._ticks >= 3)
    log = capfd.readouterr().err
    assert log.count('/hbmem_img carries sensor_msgs/msg/Image, not the HbmMsg1080P images') == 1
    assert 'leave is_shared_mem_sub at 0' in log


@pytest.mark.parametrize(('parameters', 'topic', 'transport', 'without_effect'), [
    ({'is_shared_mem_sub': 1}, '/hbmem_img', 'HbmMsg1080P', None),
    ({'is_shared_mem_sub': True, 'sharedmem_img_topic_name': '/left'}, '/left', 'HbmMsg1080P',
     None),
    ({'is_shared_mem_sub': 'true', 'image_topic': '/own'}, '/hbmem_img', 'HbmMsg1080P',
     'image_topic'),
    ({'is_shared_mem_sub': 1, 'ros_img_topic_name': '/image'}, '/hbmem_img', 'HbmMsg1080P',
     'ros_img_topic_name'),
    ({'is_shared_mem_sub': 0}, '/image_raw', 'raw', None),
    ({'is_shared_mem_sub': False, 'ros_img_topic_name': '/image'}, '/image', 'raw', None),
    ({'sharedmem_img_topic_name': '/left'}, '/image_raw', 'raw', 'sharedmem_img_topic_name')])
def test_where_images_come_from(graph, node, capfd, parameters, topic, transport, without_effect):
    yolo = node(**parameters)
    assert (yolo._images.topic_name, yolo._images.transport) == (topic, transport)
    log = capfd.readouterr().err
    assert log.count('no effect') == (without_effect is not None)
    if without_effect:
        assert f'parameter {without_effect} has no effect here: ' in log
