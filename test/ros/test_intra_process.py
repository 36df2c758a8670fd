"""Images from node to node within a process, on a real graph."""

import threading
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')
from rclpy.node import Node  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from rdk_yolo_ros.cdr.images import ImageArray  # noqa: E402
from rdk_yolo_ros.components.intra_process import (  # noqa: E402
    IntraProcessPublisher,
    IntraProcessSubscription,
)
from rdk_yolo_ros.nodes.qos import IMAGE_QOS  # noqa: E402


@pytest.fixture
def subscribe(recorder):
    """Return a function that subscribes and returns the subscription and its Recorder."""
    subscriptions = []

    def subscribe(node, topic='image', callback=None):
        images = recorder()
        subscriptions.append(IntraProcessSubscription(node, topic, callback or images))
        return subscriptions[-1], images

    yield subscribe
    for subscription in subscriptions:
        subscription.close()


def image(number=0, frame_id='camera'):
    data = np.full(6, number % 256, np.uint8)
    data.flags.writeable = False
    return ImageArray((number, 500), frame_id, 2, 2, 'nv12', 0, 2, data)


def test_every_receiver_gets_the_publishers_own_array(graph, subscribe):
    (_, first), (_, second) = subscribe(graph.node), subscribe(graph.node)
    sent = image()
    IntraProcessPublisher(graph.node, 'image').publish(sent)
    for received in (*first.wait(), *second.wait()):
        assert np.shares_memory(received.data, sent.data)
        assert received.stamp == sent.stamp
        assert received.frame_id == 'camera'


def test_no_receiver_can_write_to_what_others_see(graph, subscribe):
    _, images = subscribe(graph.node)
    publisher = IntraProcessPublisher(graph.node, 'image')
    own = np.zeros(6, np.uint8)
    for sent in (image(), ImageArray((1, 0), 'camera', 2, 2, 'nv12', 0, 2, own)):
        images.messages.clear()
        publisher.publish(sent)
        received, = images.wait()
        with pytest.raises(ValueError, match='read-only'):
            received.data[0] = 1
    assert np.shares_memory(received.data, own)
    own[0] = 1  # the owner's own array stays as it was


def test_subscriptions_find_a_publisher_that_comes_before_and_one_that_comes_later(
        graph, subscribe):
    early = IntraProcessPublisher(graph.node, 'image')
    assert not early.has_local()
    subscription, images = subscribe(graph.node)
    late = IntraProcessPublisher(graph.node, 'image')
    assert early.has_local()
    assert late.has_local()
    early.publish(image(1))
    images.wait(1)
    early.close()
    assert not early.has_local()
    early.publish(image(2))
    late.publish(image(3))
    assert [received.stamp[0] for received in images.wait(2)] == [1, 3]
    subscription.close()
    assert not late.has_local()


def test_a_publisher_that_goes_and_comes_back_reaches_the_same_subscription(graph, subscribe):
    _, images = subscribe(graph.node)
    for number in range(3):
        node = Node(f'camera{number}', context=graph.context)
        publisher = IntraProcessPublisher(node, 'image')
        publisher.publish(image(number))
        images.wait(number + 1)
        publisher.close()
        node.destroy_node()


def test_a_topic_is_the_one_that_remapping_makes_of_it(graph, subscribe):
    camera = Node('camera', context=graph.context, namespace='/front', use_global_arguments=False,
                  cli_args=['--ros-args', '-r', 'image:=eye/raw'])
    _, elsewhere = subscribe(graph.node, 'image')
    _, images = subscribe(graph.node, '/front/eye/raw')
    publisher = IntraProcessPublisher(camera, 'image')
    assert publisher.topic_name == '/front/eye/raw'
    publisher.publish(image(1))
    images.wait(1)
    assert not elsewhere.messages
    camera.destroy_node()


def test_contexts_do_not_mix(graph, outside, subscribe):
    _, images = subscribe(graph.node)
    _, others = subscribe(outside.node)
    IntraProcessPublisher(outside.node, 'image').publish(image(1))
    IntraProcessPublisher(graph.node, 'image').publish(image(2))
    assert others.wait(1)[0].stamp[0] == 1
    assert images.wait(1)[0].stamp[0] == 2
    assert len(images) == len(others) == 1


def test_a_receiver_that_is_busy_delays_neither_the_publisher_nor_another(
        graph, subscribe, wait_until):
    busy, seen, until = threading.Event(), [], threading.Event()

    def slow(received):
        seen.append(received.stamp[0])
        busy.set()
        until.wait(30.0)

    slow_one, _ = subscribe(graph.node, callback=slow)
    _, fast = subscribe(graph.node)
    publisher = IntraProcessPublisher(graph.node, 'image')
    publisher.publish(image(0))
    assert busy.wait(30.0)
    begin = time.monotonic()
    for number in range(1, 100):
        publisher.publish(image(number))
        fast.wait(where=lambda received, number=number: received.stamp[0] == number)
    assert time.monotonic() - begin < 10.0  # the slow one is still at its first image
    assert seen == [0]
    assert slow_one.dropped == 98
    until.set()
    wait_until(lambda: len(seen) == 2)
    assert seen == [0, 99]


@pytest.mark.parametrize('error', [RuntimeError, SystemExit])
def test_a_callback_that_raises_gets_the_next_image(graph, subscribe, wait_until, error):
    seen = []

    def fail(received):
        seen.append(received.stamp[0])
        raise error('no')

    subscribe(graph.node, callback=fail)
    publisher = IntraProcessPublisher(graph.node, 'image')
    for number in range(3):
        publisher.publish(image(number))
        wait_until(lambda number=number: seen == list(range(number + 1)))


def test_what_was_handed_over_is_known_when_dds_brings_it_too(graph, subscribe):
    subscription, images = subscribe(graph.node)
    publisher = IntraProcessPublisher(graph.node, 'image')
    for number in range(1000):
        publisher.publish(image(number))
    images.wait(where=lambda received: received.stamp[0] == 999)
    # Those that were dropped, too: what came too late once is not wanted from DDS either.
    assert all(subscription.is_duplicate((number, 500), 'camera') for number in range(900, 1000))
    assert not subscription.is_duplicate((999, 500), 'another')
    assert not subscription.is_duplicate((1000, 500), 'camera')
    assert not subscription.is_duplicate((0, 500), 'camera')  # memory has an end


def test_dds_counts_only_who_is_not_served_in_the_process(
        graph, outside, subscribe, wait_until):
    publisher = graph.publisher(Image, 'image', IMAGE_QOS)
    local = IntraProcessPublisher(graph.node, 'image')
    assert not local.dds_listeners(publisher)
    viewer = Node('viewer', context=graph.context)
    viewer.create_subscription(Image, 'image', lambda _: None, IMAGE_QOS)
    wait_until(lambda: local.dds_listeners(publisher))  # it asked for nothing else
    subscription, _ = subscribe(viewer)
    wait_until(lambda: publisher.get_subscription_count() == 1)
    wait_until(lambda: not local.dds_listeners(publisher))

    listener = outside.node.create_subscription(Image, 'image', lambda _: None, IMAGE_QOS)
    wait_until(lambda: local.dds_listeners(publisher))
    outside.node.destroy_subscription(listener)
    wait_until(lambda: not local.dds_listeners(publisher))
    subscription.close()
    assert local.dds_listeners(publisher)
    viewer.destroy_node()


def test_a_listener_outside_is_seen_beside_a_local_one_that_dds_does_not_match(
        graph, outside, subscribe, wait_until):
    publisher = graph.publisher(Image, 'image', IMAGE_QOS)
    local = IntraProcessPublisher(graph.node, 'image')
    subscribe(graph.node)  # the node has no DDS subscription at all
    viewer = Node('viewer', context=outside.context)
    viewer.create_subscription(Image, 'image', lambda _: None, IMAGE_QOS)
    wait_until(lambda: publisher.get_subscription_count() == 1)
    wait_until(lambda: local.dds_listeners(publisher))
    viewer.destroy_node()
    wait_until(lambda: not local.dds_listeners(publisher))


def test_a_subscription_without_a_callback_is_served_elsewhere(
        graph, subscribe, wait_until):
    publisher = graph.publisher(Image, 'image', IMAGE_QOS)
    local = IntraProcessPublisher(graph.node, 'image')
    graph.node.create_subscription(Image, 'image', lambda _: None, IMAGE_QOS)
    subscription = IntraProcessSubscription(graph.node, 'image', None)
    wait_until(lambda: publisher.get_subscription_count() == 1)
    wait_until(lambda: not local.dds_listeners(publisher))
    local.publish(image(7))
    assert subscription.is_duplicate((7, 500), 'camera')
    assert subscription.close()
    assert local.dds_listeners(publisher)


def test_closing_under_load_ends_every_thread(graph, subscribe):
    publisher = IntraProcessPublisher(graph.node, 'image')
    stop = threading.Event()

    def publish():
        number = 0
        while not stop.is_set():
            publisher.publish(image(number))
            number += 1
            time.sleep(0.0005)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        for _ in range(20):
            subscription, images = subscribe(graph.node)
            images.wait(3)
            assert subscription.close()
            count = len(images)
            time.sleep(0.005)
            assert len(images) == count
    finally:
        stop.set()
        thread.join(10.0)
    assert not [other for other in threading.enumerate()
                if other.name.startswith('intra-process')]


def test_a_callback_can_close_its_own_subscription(graph, subscribe, wait_until):
    closed = []
    subscription, _ = subscribe(
        graph.node, callback=lambda _: closed.append(subscription.close()))
    publisher = IntraProcessPublisher(graph.node, 'image')
    publisher.publish(image())
    wait_until(lambda: closed == [True])
    assert not publisher.has_local()
