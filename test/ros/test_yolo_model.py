"""The YOLO node with real models: the topics carry what the Predictor alone finds."""

from array import array
import json
import math
from pathlib import Path
import sys

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Classification, Detection2DArray  # noqa: E402

from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402
from rdk_yolo_ros.predictor import Predictor  # noqa: E402
from rdk_yolo_ros.scenes import render_scene  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'test' / 'unit'))
THRESHOLD = 0.05  # low, so that there is something to compare whatever the model is worth
WIDTH, HEIGHT = 480, 360


@pytest.mark.parametrize('task', ['detect', 'pose', 'segment'])
def test_the_topics_carry_what_the_predictor_finds(graph, wait_until, task):
    config = ROOT / 'config' / f'demo_{task}.json'
    nv12 = Frame.from_bgr(render_scene(3, WIDTH, HEIGHT).image).to_nv12()
    with Predictor.from_config(config, score_threshold=THRESHOLD) as predictor:
        expected = predictor(Frame.from_nv12(nv12))
    assert len(expected) > 0

    images = graph.publisher(Image, 'image_raw')
    topics = {'detections': graph.record(Detection2DArray, '/yolo/detections')}
    if task == 'pose':
        topics['keypoints'] = graph.record(PointCloud2, '/yolo/keypoints')
    if task == 'segment':
        topics['mask'] = graph.record(Image, '/yolo/mask')
    node = graph.add(YoloNode(context=graph.context, parameter_overrides=[
        Parameter('config_file', value=str(config)),
        Parameter('score_threshold', value=THRESHOLD)]))
    wait_until(lambda: node._inference.model.results._detections.get_subscription_count() == 1)
    if task != 'detect':
        wait_until(node._inference.model.results.needs_extras)
    wait_until(lambda: images.get_subscription_count() == 1)
    header = Header(stamp=Time(sec=3, nanosec=4), frame_id='camera')
    images.publish(Image(header=header, encoding='nv12', height=HEIGHT, width=WIDTH, step=WIDTH,
                         data=array('B', nv12.tobytes())))

    received = {name: recorder.wait()[0] for name, recorder in topics.items()}
    assert all(message.header == header for message in received.values())
    detections = received['detections'].detections
    assert len(detections) == len(expected)
    for one, box, score, class_id in zip(
            detections, expected.boxes, expected.scores, expected.class_ids):
        centre = np.array([one.bbox.center.position.x, one.bbox.center.position.y])
        half = np.array([one.bbox.size_x, one.bbox.size_y]) / 2
        np.testing.assert_allclose([*(centre - half), *(centre + half)], box, atol=1e-3)
        assert one.results[0].hypothesis.score == pytest.approx(float(score), abs=1e-6)
        assert one.results[0].hypothesis.class_id == predictor.class_names[class_id]
    if task == 'pose':
        cloud = np.frombuffer(received['keypoints'].data, np.float32)
        cloud = cloud.reshape(*expected.keypoints.shape[:2], 4)
        np.testing.assert_allclose(cloud[..., [0, 1, 3]], expected.keypoints, atol=1e-3)
    if task == 'segment':
        mask = np.frombuffer(received['mask'].data, np.uint8).reshape(HEIGHT, WIDTH)
        np.testing.assert_array_equal(mask, expected.masks.to_label_image(HEIGHT, WIDTH))


def constant_model(folder, config, **arrays):
    """Write a model that gives the same for every image, and its configuration; return that."""
    onnx_models = pytest.importorskip('onnx_models')
    onnx_models.constant(folder / 'model.onnx', arrays)
    path = folder / 'config.json'
    path.write_text(json.dumps({'model_file': 'model.onnx', **config}))
    return path


def received_from(graph, wait_until, config, kind, topic):
    """Return the first message on a topic of a node that gets one 64x64 image."""
    images = graph.publisher(Image, 'image_raw')
    recorder = graph.record(kind, topic)
    node = graph.add(YoloNode(context=graph.context, parameter_overrides=[
        Parameter('config_file', value=str(config))]))
    wait_until(lambda: images.get_subscription_count() == 1)
    wait_until(lambda: graph.node.count_publishers(topic) == 1
               and node._inference.model.results.is_watched())
    images.publish(Image(header=Header(stamp=Time(sec=3, nanosec=4), frame_id='camera'),
                         encoding='mono8', height=64, width=64, step=64,
                         data=array('B', bytes(64 * 64))))
    return recorder.wait()[0]


def test_a_classifier_publishes_the_best_classes_and_no_detections(graph, wait_until, tmp_path):
    (tmp_path / 'names.list').write_text('cat\ndog\ncow\n')
    config = constant_model(
        tmp_path, {'task': 'classify', 'cls_names_list': 'names.list', 'top_k': 2},
        logits=np.log(np.array([[2., 5., 3.]], np.float32)))
    message = received_from(graph, wait_until, config, Classification, '/yolo/classification')
    assert message.header.frame_id == 'camera'
    assert [one.class_id for one in message.results] == ['dog', 'cow']
    assert [one.score for one in message.results] == pytest.approx([.5, .3], abs=1e-6)
    assert graph.node.count_publishers('/yolo/detections') == 0


def test_the_angle_of_a_rotated_box_is_theta(graph, wait_until, tmp_path):
    # End to end: x y w h score class angle.
    rows = np.zeros((1, 300, 7), np.float32)
    rows[0, 0] = 30, 20, 24, 10, .9, 1, .5
    config = constant_model(tmp_path, {'task': 'obb', 'class_num': 2}, rows=rows)
    message = received_from(graph, wait_until, config, Detection2DArray, '/yolo/detections')
    assert len(message.detections) == 1
    box = message.detections[0].bbox
    assert [box.center.position.x, box.center.position.y, box.size_x, box.size_y] \
        == pytest.approx([30, 20, 24, 10], abs=1e-3)
    assert math.isclose(box.center.theta, .5, abs_tol=1e-6)
    assert message.detections[0].results[0].hypothesis.class_id == '1'
