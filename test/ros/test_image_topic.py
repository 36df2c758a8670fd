"""What is told of an image topic, on a clock of the test's own: silence, figures, who matches."""

import itertools
import random

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.qos import (  # noqa: E402
    DurabilityPolicy,
    QoSCompatibility,  # noqa: E402
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
    qos_check_compatible,
)

from rdk_yolo_ros.cdr import ImageArray  # noqa: E402
from rdk_yolo_ros.nodes.image_silence import ImageSilence  # noqa: E402
from rdk_yolo_ros.nodes.image_transport import ImageTransport  # noqa: E402
from rdk_yolo_ros.nodes.latched_images import LatchedImages  # noqa: E402
from rdk_yolo_ros.nodes.qos import IMAGE_QOS  # noqa: E402
from rdk_yolo_ros.nodes.qos_matching import Offer, matching_profile, mismatches  # noqa: E402
from rdk_yolo_ros.nodes.topic_statistics import TopicStatistics  # noqa: E402

RELIABILITIES = (ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT)
DURABILITIES = (DurabilityPolicy.TRANSIENT_LOCAL, DurabilityPolicy.VOLATILE)
QUALITIES = list(itertools.product(RELIABILITIES, DURABILITIES))


def offer(name, reliability, durability):
    return Offer(name, 'sensor_msgs/msg/Image', reliability, durability)


def is_matched(offered, profile):
    """Return what the middleware itself says of a publisher and a subscription."""
    compatibility, _ = qos_check_compatible(
        QoSProfile(depth=1, reliability=offered.reliability, durability=offered.durability),
        profile)
    return compatibility != QoSCompatibility.ERROR


@pytest.mark.parametrize('qualities', [
    combination for count in (1, 2, 3) for combination in itertools.product(QUALITIES,
                                                                           repeat=count)])
def test_the_profile_matches_every_publisher_and_asks_for_all_that_all_offer(qualities):
    publishers = [offer(f'camera_{i}', *quality) for i, quality in enumerate(qualities)]
    profile = matching_profile(IMAGE_QOS, publishers, {})
    assert all(is_matched(one, profile) for one in publishers)
    assert not mismatches('/image', profile, publishers)
    assert profile.depth == 1
    # Nothing better matches them all.
    for reliability, durability in QUALITIES:
        better = QoSProfile(depth=1, reliability=reliability, durability=durability)
        if all(is_matched(one, better) for one in publishers):
            assert RELIABILITIES.index(profile.reliability) <= RELIABILITIES.index(reliability)
            assert DURABILITIES.index(profile.durability) <= DURABILITIES.index(durability)


@pytest.mark.parametrize('offered', QUALITIES)
@pytest.mark.parametrize('asked', QUALITIES)
def test_a_mismatch_is_what_the_middleware_calls_one(offered, asked):
    publisher = offer('camera', *offered)
    profile = matching_profile(IMAGE_QOS, [publisher], {
        QoSPolicyKind.RELIABILITY: asked[0], QoSPolicyKind.DURABILITY: asked[1]})
    assert (profile.reliability, profile.durability) == asked
    assert bool(mismatches('/image', profile, [publisher])) \
        is not is_matched(publisher, profile)


def test_without_a_publisher_the_profile_matches_all_that_may_come():
    profile = matching_profile(IMAGE_QOS, [], {})
    assert all(is_matched(offer('any', *quality), profile) for quality in QUALITIES)


def test_a_publisher_that_does_not_tell_is_taken_as_one_that_offers_nothing():
    unknown = offer('dds', ReliabilityPolicy.UNKNOWN, DurabilityPolicy.UNKNOWN)
    assert matching_profile(IMAGE_QOS, [unknown], {}) == IMAGE_QOS


# ImageSilence


@pytest.fixture
def silence():
    return ImageSilence('/image_raw', lambda: ['/image_raw (sensor_msgs/msg/Image)',
                                               '/front (sensor_msgs/msg/Image)'])


def looks(silence, start, images, publishers=('camera',)):
    """Look once a second; `images` says how many have arrived; return {second: text}."""
    said = {}
    for second, received in enumerate(images):
        text = silence.look(start + second, received, publishers)
        if text:
            said[second] = text
    return said


def test_no_publisher_is_told_of_once_after_five_seconds(silence):
    said = looks(silence, 100.0, [0] * 60, [])
    assert list(said) == [5]
    assert said[5] == ('nobody has published /image_raw for 5 s: start the camera, or set '
                       'image_topic, or remap it, to one of the image topics that there are: '
                       '/front (sensor_msgs/msg/Image)')


def test_a_publisher_that_is_gone_is_named_each_time(silence):
    assert not looks(silence, 0.0, range(1, 11))
    assert 'camera published it and is gone' in looks(silence, 10.0, [10] * 20, [])[5]
    assert not looks(silence, 30.0, range(11, 21))
    assert list(looks(silence, 40.0, [20] * 20, [])) == [5]


def test_a_camera_that_stops_is_told_of_once_and_so_is_its_return(silence):
    assert not looks(silence, 0.0, range(1, 11))
    said = looks(silence, 10.0, [10] * 30)
    assert list(said) == [4]  # the last image was a second before
    assert 'for 5 s, although camera still publishes it' in said[4]
    assert looks(silence, 40.0, range(11, 21)) == {4: 'images arrive on /image_raw again'}
    assert list(looks(silence, 50.0, [20] * 30)) == [4]


def test_a_camera_that_sends_now_and_then_is_told_of_once(silence):
    images = [second // 10 for second in range(200)]
    assert len(looks(silence, 0.0, images)) == 1


def test_silence_before_the_first_image_is_told_by_others(silence):
    assert not looks(silence, 0.0, [0] * 60)


def test_a_new_subscription_begins_anew(silence):
    looks(silence, 0.0, range(1, 4))
    silence.start()
    assert not looks(silence, 1000.0, [3] * 60)


# LatchedImages


def image(second, value=0):
    return ImageArray((second, 0), 'camera', 2, 2, 'mono8', 0, 2, np.full(4, value, np.uint8))


def test_a_latched_image_is_known_after_any_number_of_others_and_again():
    latched = LatchedImages(lambda: 0.0)
    assert not latched.remember(image(1))
    for begin in (1000, 3000):
        latched.change(True, False)
        assert not any(latched.remember(image(begin + i)) for i in range(1000))
        latched.change(False, True)
        assert latched.remember(image(1))
        assert not latched.remember(image(1))


@pytest.mark.parametrize('case', ['later', 'other pixels', 'volatile', 'forgotten', 'no change'])
def test_an_image_that_is_sent_anew_is_not_taken_for_a_latched_one(case):
    now = [0.0]
    latched = LatchedImages(lambda: now[0])
    latched.remember(image(0))
    if case != 'no change':
        latched.change(False, case != 'volatile')
    if case == 'later':
        now[0] += 3.0
    if case == 'forgotten':
        latched.forget()
    assert not latched.remember(image(0, value=case == 'other pixels'))


# TopicStatistics


def test_the_figures_are_numpy_s_of_the_last_five_seconds():
    now = [50.0]
    statistics = TopicStatistics(lambda: now[0])
    rng = random.Random(1)
    arrivals = []
    for _ in range(300):
        now[0] += rng.uniform(0.01, 0.09)
        age = rng.uniform(0.0, 0.5)
        size = rng.randrange(1000)
        statistics.add(size, age)
        arrivals.append((now[0], age, size))
    now[0] += 0.25
    recent = [arrival for arrival in arrivals if arrival[0] >= now[0] - 5.0]
    periods = np.diff([arrival[0] for arrival in recent])
    figures = statistics.figures()
    assert figures.rate == pytest.approx(len(recent) / 5.0)
    assert figures.period == pytest.approx(
        (periods.mean(), periods.min(), periods.max(), periods.std()))
    ages = [arrival[1] for arrival in recent]
    assert figures.age == pytest.approx((np.mean(ages), np.max(ages)))
    assert figures.size == max(arrival[2] for arrival in recent)
    now[0] += 6.0
    assert statistics.figures() == (0.0, None, None, 0)


@pytest.mark.parametrize('age', [float('nan'), -0.5, 1e9])
def test_a_stamp_of_another_clock_tells_no_age(age):
    statistics = TopicStatistics()
    statistics.add(1, age)
    assert statistics.figures().age is None


# ImageTransport


@pytest.mark.parametrize(('topic', 'setting', 'offered', 'expected'), [
    ('image', 'auto', ['sensor_msgs/msg/CompressedImage'], (True, 'compressed')),
    ('image', 'auto', ['sensor_msgs/msg/Image'], (False, 'raw')),
    ('image', 'auto', [], (False, 'raw')),
    ('image', 'raw', ['sensor_msgs/msg/CompressedImage'], (False, 'raw')),
    ('image/compressed', 'auto', ['sensor_msgs/msg/Image'], (False, 'compressed'))])
def test_the_transport_follows_where_the_setting_lets_it(topic, setting, offered, expected):
    transport = ImageTransport(topic, setting)
    is_other, why_not = transport.follow(offered)
    assert (is_other, transport.name) == expected
    wrong = bool(offered) and setting != 'auto' or topic.endswith('compressed')
    assert ('carries' in why_not) == wrong
