"""The source node and its receivers in one process, with listeners in others."""

import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
pytest.importorskip('vision_msgs')
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402

from rdk_yolo_ros.cdr import CompressedImageArray, ImageArray, read_image  # noqa: E402
from rdk_yolo_ros.components.intra_process import IntraProcessSubscription  # noqa: E402
from rdk_yolo_ros.nodes.image_subscription import ImageSubscription  # noqa: E402
from rdk_yolo_ros.nodes.overlay import OverlayNode  # noqa: E402
from rdk_yolo_ros.nodes.source import SourceNode  # noqa: E402

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
COUNT = 4


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of four small pictures, grey 0, 60, 120, 180."""
    cv2 = pytest.importorskip('cv2')
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for i in range(COUNT):
        cv2.imwrite(str(folder / f'{i}.png'), np.full((48, 64, 3), 60 * i, np.uint8))
    return folder


@pytest.fixture
def source(graph, pictures):
    """Start a source node that hands its images over."""
    def source(use_intra_process_comms=True, **parameters):
        given = {'source': str(pictures), 'rate': 50.0, **parameters}
        return graph.add(SourceNode(
            context=graph.context, use_intra_process_comms=use_intra_process_comms,
            parameter_overrides=[Parameter(name, value=value) for name, value in given.items()]))
    return source


@pytest.fixture
def take(graph, recorder):
    """Receive images without DDS; returns a Recorder."""
    subscriptions = []

    def take(topic='image_raw'):
        images = recorder()
        subscriptions.append(IntraProcessSubscription(graph.node, topic, images))
        return images

    yield take
    for subscription in subscriptions:
        subscription.close()


def stamps(images):
    return [image.stamp for image in images]


def test_the_source_hands_over_the_arrays_that_it_keeps(source, take):
    images = take()
    node = source()
    received = images.wait(3 * COUNT)
    assert {type(image) for image in received} == {ImageArray}
    first = received[0]
    assert (first.encoding, first.width, first.height, first.step) == ('nv12', 64, 48, 64)
    assert first.frame_id == 'camera'
    assert abs(time.time() - first.stamp[0]) < 60
    assert len(set(stamps(received))) == len(received)
    assert stamps(received) == sorted(stamps(received))
    # Four pictures, played again and again, are four arrays.
    places = {image.data.__array_interface__['data'][0] for image in received}
    assert len(places) == COUNT
    assert not any(image.data.flags.writeable for image in received)
    assert node.published >= 3 * COUNT


def test_a_jpeg_is_handed_over_too(source, take):
    images = take('image_raw/compressed')
    source(encoding='jpeg')
    image = images.wait(1)[0]
    assert isinstance(image, CompressedImageArray)
    assert image.format == 'jpeg'
    assert bytes(image.data[:2]) == b'\xff\xd8'


def test_a_source_that_was_not_asked_to_hands_nothing_over(graph, source, take):
    images, sent = take(), graph.record(Image, 'image_raw')
    source(use_intra_process_comms=False)
    sent.wait(5)
    assert not len(images)


def test_dds_carries_images_only_while_somebody_else_listens(
        graph, outside, source, take, wait_until, recorder):
    images, over_dds = take(), recorder()
    # As every node that takes images locally does: the graph stays true for tools.
    graph.node.create_subscription(Image, 'image_raw', over_dds, BEST_EFFORT, raw=True)
    source()
    images.wait(20)
    quiet = len(over_dds)
    images.wait(len(images) + 20)
    assert len(over_dds) == quiet

    listener = recorder()
    subscription = outside.node.create_subscription(Image, 'image_raw', listener, 10, raw=True)
    for buffer in listener.wait(10):
        image = read_image(buffer)
        assert (image.encoding, image.width, image.height) == ('nv12', 64, 48)
        assert image.data.size == 64 * 48 * 3 // 2
    # The same images, not others; a busy machine makes the local receiver miss some.
    sent = set(stamps(map(read_image, listener.wait(10))))
    assert len(sent & set(stamps(images.messages))) > 5
    outside.node.destroy_subscription(subscription)

    def is_quiet():
        count = len(over_dds)
        images.wait(len(images) + 10)
        return len(over_dds) == count

    wait_until(is_quiet)


def test_who_gets_an_image_locally_gets_it_once(graph, outside, source, recorder):
    images, listener = recorder(), outside.record(CompressedImage, 'image_raw/compressed')
    subscription = ImageSubscription(graph.node, 'image_raw', 'compressed', images,
                                     intra_process=True)
    subscription.open()
    source(encoding='jpeg')
    listener.wait(20)
    received = images.wait(20)
    assert {type(image) for image in received} == {CompressedImageArray}
    assert len(set(stamps(received))) == len(received)
    subscription.close()


def test_images_of_another_process_arrive_beside_local_ones(graph, outside, source, recorder):
    images = recorder()
    subscription = ImageSubscription(graph.node, 'image_raw', 'raw', images, intra_process=True)
    subscription.open()
    outside.add(SourceNode('far', context=outside.context, parameter_overrides=[
        Parameter('width', value=64), Parameter('height', value=48),
        Parameter('frame_id', value='far')]))
    source(frame_id='near')
    for name in ('near', 'far', 'near', 'far'):
        images.wait(len([image for image in images.messages if image.frame_id == name]) + 3,
                    where=lambda image, name=name: image.frame_id == name)
    subscription.close()


def test_pictures_of_a_whole_chain_reach_another_process(graph, outside, source):
    graph.add(OverlayNode(context=graph.context, use_intra_process_comms=True,
                          parameter_overrides=[Parameter('encoding', value='nv12'),
                                               Parameter('result_timeout', value=0.1)]))
    pictures = outside.record(Image, 'overlay/image')
    source()
    for grey in (0, 60, 120, 180):
        picture = pictures.wait(1, where=lambda picture, grey=grey: picture.data[0] == grey)[0]
        assert len(picture.data) == 64 * 48 * 3 // 2
