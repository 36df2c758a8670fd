"""The image subscription's quality of service: what it follows, what it says, what users set."""

import copy
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus  # noqa: E402
import rclpy  # noqa: E402
from rclpy.context import Context  # noqa: E402
from rclpy.exceptions import ParameterException  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image  # noqa: E402
from stand_in_predictor import StandInPredictor, nv12_image  # noqa: E402
from vision_msgs.msg import Detection2DArray  # noqa: E402

from rdk_yolo_ros.nodes.qos import IMAGE_QOS, RESULT_QOS  # noqa: E402
from rdk_yolo_ros.nodes.yolo import YoloNode  # noqa: E402

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
LATCHED, VOLATILE = DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE
SUBSCRIPTION = 'qos_overrides./image_raw.subscription'


@pytest.fixture
def make_node(graph):
    """Make a node that the graph spins; parameters by name."""
    def make(parameters=None, **kwargs):
        return graph.add(YoloNode(
            predictor=StandInPredictor('detect'), context=graph.context, parameter_overrides=[
                Parameter(name, value=value) for name, value in (parameters or {}).items()],
            **kwargs))

    return make


@pytest.fixture
def camera():
    """Make publishers of images, each on a node and a participant of its own."""
    made = []

    def make(name, reliability, durability=VOLATILE, message_type=Image):
        context = Context()
        rclpy.init(context=context)
        node = Node(name, context=context)
        made.append((node, context))
        return node.create_publisher(message_type, 'image_raw', QoSProfile(
            depth=5, reliability=reliability, durability=durability))

    def end(publisher):
        """End the node of a publisher, or of all."""
        for node, context in list(made):
            if publisher is None or publisher in list(node.publishers):
                made.remove((node, context))
                node.destroy_node()
                context.try_shutdown()

    make.end = end
    yield make
    end(None)


def subscribed(graph, node_name='yolo'):
    """Return what the graph says of the node's subscriptions."""
    return [(info.qos_profile.reliability, info.qos_profile.durability)
            for info in graph.node.get_subscriptions_info_by_topic('/image_raw')
            if info.node_name == node_name]


@pytest.mark.parametrize(('offered', 'expected'), [
    ([(RELIABLE, VOLATILE)], (RELIABLE, VOLATILE)),
    ([(RELIABLE, LATCHED)], (RELIABLE, LATCHED)),
    ([(BEST_EFFORT, VOLATILE)], (BEST_EFFORT, VOLATILE)),
    ([(RELIABLE, LATCHED), (RELIABLE, VOLATILE)], (RELIABLE, VOLATILE)),
    ([(RELIABLE, LATCHED), (BEST_EFFORT, VOLATILE)], (BEST_EFFORT, VOLATILE))])
def test_the_subscription_takes_what_every_publisher_offers(
        graph, make_node, camera, wait_until, offered, expected):
    for number, quality in enumerate(offered):
        camera(f'camera_{number}', *quality)
    wait_until(lambda: graph.node.count_publishers('/image_raw') == len(offered))
    make_node()
    wait_until(lambda: subscribed(graph) == [expected], limit=10.0)


def test_a_publisher_that_comes_later_is_followed_and_no_image_is_lost_or_doubled(
        graph, make_node, camera, wait_until):
    node = make_node()
    results = graph.record(Detection2DArray, '/yolo/detections', 200)
    wait_until(node._inference.model.results.is_watched)
    sent = []

    def send(publisher):
        """Publish an image and wait for its result, so that no newer one takes its place."""
        sent.append(f'camera_{len(sent)}')
        publisher.publish(nv12_image(seq=len(sent) - 1))
        results.wait(1, 10.0, where=lambda r: r.header.frame_id == sent[-1])

    def send_until(publisher, quality):
        end = time.monotonic() + 20.0
        while subscribed(graph) != [quality]:
            assert time.monotonic() < end
            send(publisher)
        for _ in range(20):
            send(publisher)

    first = camera('first', RELIABLE, LATCHED)
    wait_until(lambda: first.get_subscription_count() == 1)
    send_until(first, (RELIABLE, LATCHED))
    # A second one, with less to offer, comes and goes.
    second = camera('second', BEST_EFFORT)
    send_until(first, (BEST_EFFORT, VOLATILE))
    wait_until(lambda: second.get_subscription_count() == 1)
    send(second)
    camera.end(second)
    send_until(first, (RELIABLE, LATCHED))
    time.sleep(0.5)
    assert [r.header.frame_id for r in results.messages] == sent
    wait_until(lambda: len(list(node.subscriptions)) == 1, limit=10.0)


def test_an_image_that_is_latched_comes_again_to_a_node_that_is_activated_only(
        graph, make_node, camera, wait_until):
    node = make_node()
    results = graph.record(Detection2DArray, '/yolo/detections', 200)
    wait_until(node._inference.model.results.is_watched)
    sent = []

    def send(publisher, count=5):
        for _ in range(count):
            sent.append(f'camera_{len(sent)}')
            publisher.publish(nv12_image(seq=len(sent) - 1))
            results.wait(1, 10.0, where=lambda r: r.header.frame_id == sent[-1])

    slides = camera('slides', RELIABLE, LATCHED)
    wait_until(lambda: subscribed(graph) == [(RELIABLE, LATCHED)], 10.0)
    send(slides)
    live = camera('live', BEST_EFFORT)
    wait_until(lambda: subscribed(graph) == [(BEST_EFFORT, VOLATILE)], 10.0)
    wait_until(lambda: live.get_subscription_count() == 1)
    send(live)
    before = node._images.duplicates
    camera.end(live)
    wait_until(lambda: subscribed(graph) == [(RELIABLE, LATCHED)], 10.0)
    wait_until(lambda: node._images.duplicates > before, 10.0, 'the latched image')
    time.sleep(0.5)
    assert [r.header.frame_id for r in results.messages] == sent
    node.trigger_deactivate()
    node.trigger_activate()
    results.wait(2, 10.0, where=lambda r: r.header.frame_id == 'camera_4')


def test_once_nobody_publishes_whoever_comes_next_is_matched(
        graph, make_node, camera, wait_until):
    make_node()
    first = camera('first', RELIABLE, LATCHED)
    wait_until(lambda: subscribed(graph) == [(RELIABLE, LATCHED)], limit=10.0)
    camera.end(first)
    wait_until(lambda: subscribed(graph) == [(BEST_EFFORT, VOLATILE)], limit=10.0)


def test_a_picture_that_was_published_once_arrives_once(graph, make_node, camera, wait_until):
    node = make_node()
    results = graph.record(Detection2DArray, '/yolo/detections', 200)
    wait_until(node._inference.model.results.is_watched)
    publisher = camera('slides', RELIABLE, LATCHED)
    publisher.publish(nv12_image())
    results.wait(1, limit=10.0)
    time.sleep(2.5)
    assert len(results) == 1


def test_many_changes_leave_one_subscription(graph, make_node, camera, wait_until):
    node = make_node()
    handlers = len(list(node.waitables))
    for _ in range(3):
        publisher = camera('camera', RELIABLE)
        wait_until(lambda: subscribed(graph) == [(RELIABLE, VOLATILE)], limit=10.0)
        camera.end(publisher)
        other = camera('other', BEST_EFFORT)
        wait_until(lambda: subscribed(graph) == [(BEST_EFFORT, VOLATILE)], limit=10.0)
        camera.end(other)
    wait_until(lambda: len(list(node.subscriptions)) == 1, limit=10.0)
    assert len(list(node.waitables)) == handlers


# qos_overrides


def test_what_the_user_sets_of_the_subscription_is_not_followed(
        graph, make_node, camera, wait_until):
    camera('camera', RELIABLE, LATCHED)
    wait_until(lambda: graph.node.count_publishers('/image_raw') == 1)
    node = make_node({f'{SUBSCRIPTION}.reliability': 'best_effort', f'{SUBSCRIPTION}.depth': 4})
    wait_until(lambda: subscribed(graph) == [(BEST_EFFORT, LATCHED)], limit=10.0)
    assert node._images.profile.depth == 4
    assert node.get_parameter(f'{SUBSCRIPTION}.reliability').value == 'best_effort'
    # And again after the node was somewhere else in between.
    for transition in (node.trigger_deactivate, node.trigger_cleanup, node.trigger_configure,
                       node.trigger_activate):
        transition()
    wait_until(lambda: subscribed(graph) == [(BEST_EFFORT, LATCHED)], limit=10.0)
    assert IMAGE_QOS.depth == 1


def test_what_the_user_sets_of_a_result_holds(graph, make_node, wait_until):
    before = copy.copy(RESULT_QOS)
    node = make_node({'qos_overrides./yolo/detections.publisher.reliability': 'best_effort',
                      'qos_overrides./yolo/detections.publisher.depth': 2})
    wait_until(lambda: graph.node.count_publishers('/yolo/detections') == 1)
    (info,) = graph.node.get_publishers_info_by_topic('/yolo/detections')
    assert info.qos_profile.reliability == BEST_EFFORT
    assert before == RESULT_QOS
    # All that can be set is there to be found.
    for policy in ('history', 'depth', 'reliability', 'durability'):
        assert node.has_parameter(f'qos_overrides./yolo/detections.publisher.{policy}')


@pytest.mark.parametrize(('name', 'value', 'expected'), [
    (f'{SUBSCRIPTION}.reliability', 'very', 'reliable or best_effort'),
    (f'{SUBSCRIPTION}.durability', 1, 'volatile or transient_local'),
    (f'{SUBSCRIPTION}.depth', 'deep', 'whole number'),
    ('qos_overrides./yolo/detections.publisher.history', 'all', 'keep_last or keep_all')])
def test_an_override_that_is_none_is_an_error_that_says_what_is(make_node, name, value, expected):
    with pytest.raises(ParameterException, match=expected) as caught:
        make_node({name: value})
    assert name in str(caught.value)


# What is said


def image_status(message):
    return next(status for status in message.status if status.name == 'yolo: images')


def test_a_pair_that_cannot_match_is_said_once_with_both_sides_and_the_fix(
        graph, make_node, camera, capfd, wait_until):
    camera('camera', BEST_EFFORT)
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    make_node({f'{SUBSCRIPTION}.reliability': 'reliable'})
    told = statuses.wait(
        where=lambda m: 'no image of camera can arrive' in image_status(m).message)[0]
    assert image_status(told).level == DiagnosticStatus.ERROR
    time.sleep(3.5)
    lines = [line for line in capfd.readouterr().err.splitlines() if 'can arrive' in line]
    assert len(lines) == 1
    for part in ('it publishes best_effort, volatile', 'asks for reliable, volatile',
                 f'leave {SUBSCRIPTION}.reliability out', "set it to 'best_effort'"):
        assert part in lines[0]


@pytest.mark.parametrize(('parameters', 'summary', 'detail'), [
    ({f'{SUBSCRIPTION}.reliability': 'reliable'},
     "no images on /image_raw: no publisher's quality of service matches", 'can arrive'),
    ({'image_transport': 'raw'}, 'no images on /image_raw: it carries another type of message',
     'carries sensor_msgs/msg/CompressedImage')])
def test_what_cannot_arrive_is_not_said_to_be_silent_or_lost_and_the_summary_says_why(
        graph, make_node, camera, capfd, parameters, summary, detail):
    camera('camera', BEST_EFFORT,
           message_type=CompressedImage if 'image_transport' in parameters else Image)
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    make_node(parameters)
    time.sleep(8.0)
    inference, images = statuses.messages[-1].status
    assert (inference.level, inference.message) == (DiagnosticStatus.WARN, summary)
    assert images.level == DiagnosticStatus.ERROR
    assert detail in images.message
    warnings = [line for line in capfd.readouterr().err.splitlines() if '[WARN]' in line]
    assert len(warnings) == 1
    assert detail in warnings[0]


def test_a_topic_without_a_publisher_is_said_after_five_seconds_with_those_that_there_are(
        graph, make_node, capfd):
    graph.publisher(Image, '/front/image')
    make_node()
    time.sleep(3.0)
    assert 'nobody has published' not in capfd.readouterr().err
    time.sleep(5.5)
    lines = [line for line in capfd.readouterr().err.splitlines() if 'nobody has' in line]
    assert len(lines) == 1
    assert '/image_raw' in lines[0]
    assert '/front/image (sensor_msgs/msg/Image)' in lines[0]


def test_a_node_s_own_images_are_not_among_those_that_there_are(graph, wait_until):
    graph.publisher(Image, '/front/image')
    node = graph.add(YoloNode(predictor=StandInPredictor('segment'), context=graph.context))
    wait_until(lambda: graph.node.count_publishers('/yolo/mask') == 1)
    assert node._images._image_topics() == ['/front/image (sensor_msgs/msg/Image)']


def test_a_publisher_that_falls_silent_is_said_once_and_its_return_too(
        graph, make_node, camera, capfd, wait_until):
    publisher = camera('camera', BEST_EFFORT)
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    make_node()

    def publish(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            publisher.publish(nv12_image())
            time.sleep(0.05)

    publish(3.0)
    time.sleep(8.0)
    told = image_status(statuses.messages[-1])
    assert told.level == DiagnosticStatus.WARN
    assert told.message == 'no image in the last 5 s, although camera publishes /image_raw'
    lines = [line for line in capfd.readouterr().err.splitlines() if 'no image has' in line]
    assert len(lines) == 1
    assert 'camera still publishes it' in lines[0]
    publish(7.0)
    assert 'images arrive on /image_raw again' in capfd.readouterr().err
    assert image_status(statuses.messages[-1]).level == DiagnosticStatus.OK


def test_the_topic_s_figures_are_right(graph, make_node, camera):
    publisher = camera('camera', RELIABLE)
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    node = make_node()
    image = nv12_image()
    end = time.monotonic() + 6.0
    while time.monotonic() < end:
        image.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(image)
        time.sleep(0.1)
    values = {pair.key: pair.value for pair in image_status(statuses.messages[-1]).values}
    assert 5.0 < float(values['rate (Hz)']) < 10.1
    assert 99.0 < float(values['period mean (ms)']) < 200.0
    assert float(values['period least (ms)']) <= float(values['period mean (ms)']) \
        <= float(values['period greatest (ms)'])
    assert 0.0 <= float(values['age mean (ms)']) < 100.0
    assert values['largest image (bytes)'] == str(64 * 48 * 3 // 2)
    assert values['publishers'] == 'camera (reliable, volatile)'
    assert values['subscription QoS'] == 'reliable, volatile'


# Serialised images


def test_bytes_that_are_no_image_are_counted_and_named_and_the_next_image_is_processed(
        graph, make_node, camera, wait_until):
    publisher = camera('camera', RELIABLE)
    node = make_node()
    results = graph.record(Detection2DArray, '/yolo/detections', 200)
    wait_until(lambda: publisher.get_subscription_count() == 1)
    wait_until(node._inference.model.results.is_watched)
    rng = np.random.default_rng(3)
    for length in (0, 1, 4, 11, 100, 5000):
        bad = b'\x00\x01\x00\x00'[:length] + rng.bytes(max(0, length - 4))
        failed = node._statistics.total('failed')
        publisher.publish(bad)
        wait_until(lambda failed=failed: node._statistics.total('failed') == failed + 1, 10.0,
                   f'a complaint about {length} bytes')
    assert node._images.malformed > 0
    assert all(reason.startswith('/image_raw: an image was left out: ')
               for reason in node._complaints.counts())
    publisher.publish(nv12_image(seq=9))
    results.wait(where=lambda r: r.header.frame_id == 'camera_9')


def test_images_that_contradict_themselves_are_malformed_until_others_come(
        graph, make_node, camera, wait_until):
    publisher = camera('camera', RELIABLE)
    statuses = graph.record(DiagnosticArray, '/diagnostics')
    node = make_node()
    graph.record(Detection2DArray, '/yolo/detections', 200)
    wait_until(lambda: publisher.get_subscription_count() == 1)
    wait_until(node._inference.model.results.is_watched)
    bad = nv12_image()
    bad.height *= 2
    for count in range(5):
        publisher.publish(bad)
        wait_until(lambda count=count: node._images.malformed == count + 1, 10.0)
    told = statuses.wait(
        where=lambda m: 'most images are malformed' in image_status(m).message)[0]
    assert image_status(told).level == DiagnosticStatus.WARN
    assert 'nv12' in image_status(told).message
    last = statuses.wait(where=lambda m: ('malformed', '5') in [
        (pair.key, pair.value) for pair in image_status(m).values])[0]
    assert ('dropped: failed', '5') in [(pair.key, pair.value) for pair in last.status[0].values]
    for seq in range(10):
        publisher.publish(nv12_image(seq=seq))
        time.sleep(0.05)
    statuses.wait(where=lambda m: image_status(m).message == 'images arrive')
