"""Results from the YOLO node to nodes of its process, and to listeners in others."""

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('vision_msgs')
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2  # noqa: E402
from stand_in_predictor import NAMES, StandInPredictor  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.components.intra_process import IntraProcessSubscription  # noqa: E402
from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.nodes.overlay import OverlayNode  # noqa: E402
from rdk_yolo_ros.nodes.qos import RESULT_QOS  # noqa: E402
from rdk_yolo_ros.nodes.source import SourceNode  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402

WIDTH, HEIGHT = 64, 48


@pytest.fixture
def nodes(graph):
    """Start a source node and a YOLO node that hand over what they have."""
    def nodes(task='pose', intra_process=True, remappings=()):
        predictor = StandInPredictor(task)
        given = {'width': WIDTH, 'height': HEIGHT, 'rate': 30.0}
        graph.add(YoloNode(predictor=predictor, context=graph.context,
                           use_intra_process_comms=intra_process,
                           cli_args=['--ros-args', *remappings]))
        graph.add(SourceNode(
            context=graph.context, use_intra_process_comms=intra_process, parameter_overrides=[
                Parameter(name, value=value) for name, value in given.items()]))
        return predictor
    return nodes


@pytest.fixture
def take(graph, recorder):
    """Receive a topic without DDS, as a node that also has its subscription; two Recorders."""
    subscriptions = []

    def take(topic, kind, has_callback=True):
        local, over_dds = recorder(), recorder()
        subscriptions.append(IntraProcessSubscription(
            graph.node, topic, local if has_callback else None))
        graph.node.create_subscription(kind, topic, over_dds, RESULT_QOS)
        return local, over_dds

    yield take
    for subscription in subscriptions:
        subscription.close()


def is_quiet(recorder, other):
    """Return whether nothing comes while the other gets ten more."""
    count = len(recorder)
    other.wait(len(other) + 10)
    return len(recorder) == count


def test_detections_are_handed_over_and_dds_serves_everybody_else(
        graph, outside, nodes, take, wait_until):
    local, over_dds = take('yolo/detections', Detection2DArray)
    nodes()
    wait_until(lambda: is_quiet(over_dds, local))
    result = local.messages[-1]
    assert result.names == NAMES
    assert result.frame_id == 'camera'
    np.testing.assert_array_equal(result.detections.boxes, [[10, 20, 30, 60]])
    assert result.detections.keypoints is None  # nobody asked
    with pytest.raises(ValueError, match='read-only'):
        result.detections.boxes[0, 0] = 1

    messages = outside.record(Detection2DArray, 'yolo/detections', RESULT_QOS)
    message = messages.wait(3)[-1]
    assert [found.results[0].hypothesis.class_id for found in message.detections] == ['ball']
    stamp = message.header.stamp.sec, message.header.stamp.nanosec
    local.wait(where=lambda result: result.stamp == stamp)


def test_key_points_are_computed_for_whoever_gets_them_with_the_detections(
        graph, nodes, take, wait_until):
    local, _ = take('yolo/detections', Detection2DArray)
    _, over_dds = take('yolo/keypoints', PointCloud2, has_callback=False)
    predictor = nodes()
    local.wait(where=lambda result: result.detections.keypoints is not None)
    wait_until(lambda: is_quiet(over_dds, local))
    assert predictor.extras[-1]


def test_a_topic_is_remapped_once_as_over_dds(nodes, take):
    local, _ = take('/found', Detection2DArray)
    nodes(remappings=['-r', '~/detections:=/found', '-r', '/found:=/elsewhere'])
    local.wait()


def test_a_node_that_was_not_asked_publishes_messages_alone(nodes, take):
    local, over_dds = take('yolo/detections', Detection2DArray)
    nodes(intra_process=False)
    over_dds.wait(5)
    assert not len(local)


def where_drawn(images, pictures, wait_until):
    """Return where the last of three pictures differs from its image, bool (h, w)."""
    def both():
        shown = {(message.header.stamp.sec, message.header.stamp.nanosec): message
                 for message in list(pictures.messages)}
        stamps = [((image.header.stamp.sec, image.header.stamp.nanosec), image)
                  for image in list(images.messages)]
        return [(image, shown[stamp]) for stamp, image in stamps if stamp in shown]

    wait_until(lambda: len(both()) >= 3)
    plain, drawn = (Frame.from_image(message).to_bgr() for message in both()[-1])
    return (plain != drawn).any(axis=2)


@pytest.mark.parametrize('task', ['detect', 'pose', 'segment'])
def test_pictures_of_the_whole_chain_reach_another_process(
        graph, outside, nodes, task, wait_until):
    graph.add(OverlayNode(context=graph.context, use_intra_process_comms=True))
    pictures = outside.record(Image, 'overlay/image')
    images = outside.record(Image, 'image_raw')
    nodes(task)
    drawn = where_drawn(images, pictures, wait_until)
    assert drawn[25:45, 10].all()  # the box's left side
    assert drawn[22, 12] == (task != 'detect')  # in a key point's dot, and in the mask
    assert drawn[25:, 40:].any() == (task == 'segment')  # the mask is everywhere


def test_key_points_that_somebody_else_wants_are_not_drawn_unasked(
        graph, outside, nodes, wait_until):
    graph.add(OverlayNode(context=graph.context, use_intra_process_comms=True,
                          parameter_overrides=[Parameter('draw_keypoints', value=False)]))
    predictor = nodes('pose')
    pictures = outside.record(Image, 'overlay/image')
    images = outside.record(Image, 'image_raw')
    pictures.wait(3)
    assert not predictor.extras[-1]
    outside.record(PointCloud2, 'yolo/keypoints', RESULT_QOS).wait(3)
    pictures.messages.clear()
    drawn = where_drawn(images, pictures, wait_until)
    assert predictor.extras[-1]
    assert drawn[25:45, 10].all()
    assert not drawn[22, 12]
