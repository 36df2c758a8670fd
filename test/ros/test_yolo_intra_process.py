"""The YOLO node in one process with its camera: images without the middleware, and never twice."""

import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402
from stand_in_predictor import StandInPredictor, nv12_image  # noqa: E402
from std_srvs.srv import SetBool  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.cdr import ImageArray  # noqa: E402
from rdk_yolo_ros.components.intra_process import IntraProcessPublisher  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402


@pytest.fixture
def predictor():
    return StandInPredictor('detect')


@pytest.fixture
def node(graph, predictor):
    return graph.add(YoloNode(predictor=predictor, context=graph.context,
                              use_intra_process_comms=True))


@pytest.fixture
def results(graph, node, wait_until):
    recorder = graph.record(Detection2DArray, '/yolo/detections', 200)
    wait_until(node._inference.model.results.is_watched)
    return recorder


class Camera:
    """Publishes in the process and over DDS, as a node of this package does."""

    def __init__(self, graph):
        self.node = graph.add(Node('camera', context=graph.context))
        self.publisher = self.node.create_publisher(Image, 'image_raw', 10)
        self.local = IntraProcessPublisher(self.node, 'image_raw')

    def hand_over(self, seq):
        message = nv12_image(seq=seq)
        self.local.publish(ImageArray(
            (message.header.stamp.sec, message.header.stamp.nanosec), message.header.frame_id,
            message.height, message.width, message.encoding, 0, message.step,
            np.frombuffer(message.data, np.uint8)))
        return message


@pytest.fixture
def camera(graph):
    camera = Camera(graph)
    yield camera
    camera.local.close()


def frames(results):
    return [result.header.frame_id for result in list(results.messages)]


def test_an_image_is_handed_over_without_the_middleware(node, results, camera):
    assert not camera.local.dds_listeners(camera.publisher)
    for seq in range(1, 6):
        camera.hand_over(seq)
        results.wait(seq)
    assert frames(results) == [f'camera_{seq}' for seq in range(1, 6)]
    assert node._images.received == 5


def test_an_image_that_comes_over_dds_too_is_processed_once(
        graph, node, predictor, results, camera, wait_until):
    wait_until(lambda: camera.publisher.get_subscription_count() == 1)
    for seq in range(1, 11):
        camera.publisher.publish(camera.hand_over(seq))
        results.wait(seq)
        wait_until(lambda seq=seq: node._images.duplicates == seq)
    assert frames(results) == [f'camera_{seq}' for seq in range(1, 11)]
    assert predictor.calls == 10
    assert node._images.received == 10
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    values = {pair.key: pair.value for pair in statuses.wait()[0].status[1].values}
    assert values['duplicates'] == '10'


def test_images_of_another_process_arrive_as_ever(node, results, camera, wait_until):
    wait_until(lambda: camera.publisher.get_subscription_count() == 1)
    camera.publisher.publish(nv12_image(seq=3))
    results.wait(1)
    camera.hand_over(4)
    results.wait(2)
    assert frames(results) == ['camera_3', 'camera_4']


def test_a_slow_model_drops_images_of_its_process_and_counts_them(
        node, predictor, results, camera, wait_until):
    predictor.gate.clear()
    for seq in range(1, 30):
        camera.hand_over(seq)
        time.sleep(0.002)
    predictor.gate.set()
    results.wait(1, where=lambda r: r.header.frame_id == 'camera_29')
    images = node._images
    dropped = node._statistics.total('dropped') + images.dropped
    assert len(frames(results)) + dropped == 29
    assert images.received + images.dropped == 29


@pytest.mark.parametrize('stop', ['deactivate', 'disable', 'destroy'])
def test_whoever_stops_gets_no_more_images_of_its_process(
        graph, node, results, camera, predictor, wait_until, stop):
    camera.hand_over(1)
    results.wait(1)
    if stop == 'deactivate':
        node.trigger_deactivate()
    elif stop == 'disable':
        assert graph.call(SetBool, '/yolo/enable', SetBool.Request(data=False)).success
    else:
        node.destroy_node()
    assert not camera.local.has_local()
    camera.hand_over(2)
    time.sleep(0.2)
    assert predictor.calls == 1
    if stop == 'deactivate':
        node.trigger_activate()
        camera.hand_over(3)
        results.wait(1, where=lambda r: r.header.frame_id == 'camera_3')


def test_without_the_keyword_images_come_over_dds_only(
        graph, predictor, camera, wait_until):
    graph.add(YoloNode(predictor=predictor, context=graph.context))
    assert not camera.local.has_local()
