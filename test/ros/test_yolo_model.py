"""The YOLO node with the demo models: the topics carry what the Predictor alone finds."""

from array import array
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402
from rdk_yolo_ros.predictor import Predictor  # noqa: E402
from rdk_yolo_ros.scenes import render_scene  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
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
    wait_until(lambda: node._results._detections.get_subscription_count() == 1)
    if task != 'detect':
        wait_until(node._results.needs_extras)
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
