"""Statistics, Complaints and the loss watch on a clock of the test's own."""

from pathlib import Path
import random
import threading

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rdk_yolo_ros.nodes.diagnostics import Complaints, Statistics  # noqa: E402
from rdk_yolo_ros.nodes.image_loss import ImageLossWatch  # noqa: E402

BIG = 1920 * 1620
VARIABLE = 'FASTRTPS_DEFAULT_PROFILES_FILE'
SEGMENT = "Fast DDS' shared-memory segment of 512 KB"


class Clock:
    """A clock that a test turns."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_rate_is_of_the_last_five_seconds(clock):
    statistics = Statistics(clock)
    for _ in range(200):
        statistics.count('received')
        clock.now += 0.05
    assert statistics.rate('received') == pytest.approx(20, rel=0.02)
    clock.now += 2.5
    assert statistics.rate('received') == pytest.approx(10, rel=0.05)
    clock.now += 10
    assert statistics.rate('received') == 0
    assert statistics.total('received') == 200


def test_a_rate_is_right_from_the_first_second_and_past_the_samples_kept(clock):
    statistics = Statistics(clock)
    for _ in range(20):
        clock.now += 0.05
        statistics.count('received')
    assert statistics.rate('received') == pytest.approx(20)
    for _ in range(10000):
        clock.now += 0.001
        statistics.count('received')
    assert statistics.rate('received') == pytest.approx(1000, rel=0.01)


def test_percentiles_are_of_the_last_five_seconds(clock):
    statistics = Statistics(clock)
    statistics.latency('infer', 9.0)
    clock.now += 6
    for i in range(101):
        statistics.latency('infer', i / 1000)
    assert statistics.percentiles() == {'infer': pytest.approx((0.050, 0.095))}


@pytest.mark.parametrize('count', [1, 2, 3, 20, 777])
def test_percentiles_are_numpy_s(clock, count):
    statistics = Statistics(clock)
    seconds = np.random.default_rng(count).exponential(0.01, count)
    for one in seconds:
        statistics.latencies({'infer': one})
    assert statistics.percentiles()['infer'] == pytest.approx(np.percentile(seconds, (50, 95)))


def test_a_quiet_complaint_is_counted_and_not_logged(clock):
    lines = []
    complaints = Complaints(lines.append, clock=clock)
    for _ in range(3):
        complaints.report('the runtime is lost', quiet=True)
    assert complaints.counts() == {'the runtime is lost': 3}
    assert complaints.is_recent(1.0)
    complaints.report('the runtime is lost')
    assert lines == ['the runtime is lost']


def test_the_oldest_unfinished_frame_is_known(clock):
    statistics = Statistics(clock)
    assert statistics.longest_running() == 0
    statistics.begin_work()
    clock.now += 7
    other = threading.Thread(target=statistics.begin_work)
    other.start()
    other.join(5.0)
    assert statistics.longest_running() == 7
    statistics.end_work()
    assert statistics.longest_running() == 0


def test_a_reason_is_logged_once_a_second_and_counted_always(clock):
    lines = []
    complaints = Complaints(lines.append, clock=clock)
    for i in range(25):
        complaints.report(f'image of {i} bytes is cut short')
        complaints.report('encoding bayer is not understood')
        clock.now += 0.125
    assert complaints.counts() == {'image of # bytes is cut short': 25,
                                   'encoding bayer is not understood': 25}
    assert [line for line in lines if 'image' in line] == [
        'image of 0 bytes is cut short',
        'image of 8 bytes is cut short (7 more like this since the last line)',
        'image of 16 bytes is cut short (7 more like this since the last line)',
        'image of 24 bytes is cut short (7 more like this since the last line)']
    assert len(lines) == 8


def test_random_reasons_do_not_fill_memory(clock):
    rng = random.Random(0)
    lines = []
    complaints = Complaints(lines.append, clock=clock)
    for _ in range(1000):
        complaints.report('encoding ' + ''.join(rng.choices('abcdefgh', k=20)))
    assert len(complaints.counts()) <= 33
    assert sum(complaints.counts().values()) == 1000
    assert len(lines) <= 33


def test_complaints_that_differ_by_bytes_are_of_one_kind(clock):
    lines = []
    complaints = Complaints(lines.append, clock=clock)
    for start in range(200):
        complaints.report(f'JPEG begins with 0x{start * 321 % 65536:04x}, expected 0xffd8')
    assert list(complaints.counts().values()) == [200]
    assert len(lines) == 1


def test_a_complaint_is_recent_for_a_while(clock):
    complaints = Complaints(lambda text: None, clock=clock)
    assert not complaints.is_recent(2.0)
    complaints.report('bad')
    clock.now += 1.9
    assert complaints.is_recent(2.0)
    clock.now += 0.2
    assert not complaints.is_recent(2.0)


# ImageLossWatch


def watch(environment=None, rmw='rmw_fastrtps_cpp'):
    return ImageLossWatch('/image_raw', rmw, Path('/share/large.xml'), environment or {})


def feed(loss, seconds, received, lost, size=BIG, publishers=1):
    """Give `received` and `lost` images a second; return the warnings."""
    warnings = []
    for second in range(seconds):
        for _ in range(received):
            loss.on_image(size)
        loss.on_lost(lost)
        warnings.append(loss.warning(float(second), publishers))
    return [warning for warning in warnings if warning]


@pytest.mark.parametrize('wrapped', [2147483647, 18446744071562067968, -5])
def test_a_wrapped_number_of_lost_images_counts_as_one(wrapped):
    loss = watch()
    for count in (3, wrapped, 4):
        loss.on_lost(count)
    assert loss.lost == 8


def test_lost_large_images_are_told_of_once_with_numbers_and_the_variable():
    (warning,) = feed(watch(), 20, 2, 28)
    assert '3.1 MB' in warning
    assert '/image_raw' in warning
    assert f'{VARIABLE}=/share/large.xml for the publisher and for this node' in warning


def test_variable_and_profile_are_others_from_kilted_on():
    (warning,) = feed(watch({'ROS_DISTRO': 'kilted'}), 20, 2, 28)
    assert 'FASTDDS_DEFAULT_PROFILES_FILE=/share/fast_dds_3/large.xml' in warning


def test_with_a_profile_here_the_publisher_is_named():
    (warning,) = feed(watch({VARIABLE: '/mine.xml'}), 20, 2, 28)
    assert 'look at the publisher' in warning


def test_another_middleware_gets_no_advice_for_fast_dds():
    (warning,) = feed(watch(rmw='rmw_cyclonedds_cpp'), 20, 2, 28)
    assert VARIABLE not in warning
    assert 'rmw_cyclonedds_cpp' in warning


@pytest.mark.parametrize(('received', 'lost', 'size'), [
    (30, 0, BIG), (30, 1, BIG), (2, 28, 460800)])
def test_a_few_lost_images_or_small_ones_are_not_told_of(received, lost, size):
    assert feed(watch(), 20, received, lost, size) == []


def test_images_that_never_arrive_are_told_of_after_five_seconds():
    loss = watch()
    assert feed(loss, 6, 0, 0, publishers=0) == []
    (warning,) = feed(loss, 10, 0, 0, publishers=2)
    assert 'no image has arrived on /image_raw in 5 s' in warning
    assert '2 publisher(s)' in warning
    assert VARIABLE in warning


def test_silence_makes_no_claim_about_sizes():
    (warning,) = feed(watch(), 10, 0, 0)
    assert 'it may not be publishing' in warning
    assert f'if its images are larger than {SEGMENT}' in warning
    assert 'they do not fit' not in warning


def test_a_loss_after_a_silence_is_told_of_once_too():
    loss = watch()
    warnings = []
    for second in range(40):
        if second >= 10:
            for _ in range(2):
                loss.on_image(BIG)
            loss.on_lost(28)
        warnings.append(loss.warning(float(second), 1))
    silent, lost = [warning for warning in warnings if warning]
    assert 'no image has arrived' in silent
    assert 'were lost' in lost
    assert f'set {VARIABLE}=/share/large.xml for the publisher and for this node' in lost


@pytest.mark.parametrize(('environment', 'rmw', 'advice'), [
    ({VARIABLE: '/mine.xml'}, 'rmw_fastrtps_cpp', f'{VARIABLE}=/share/large.xml for the publisher'
                                                  ' may help'),
    ({}, 'rmw_cyclonedds_cpp', 'may be too large for rmw_cyclonedds_cpp')])
def test_what_may_help_against_silence_fits_the_set_up(environment, rmw, advice):
    (warning,) = feed(watch(environment, rmw), 10, 0, 0)
    assert warning.endswith(advice) or f'{advice} as it is set up' in warning


def test_a_camera_that_pauses_is_not_told_of():
    loss = watch()
    feed(loss, 2, 30, 0)
    assert feed(loss, 20, 0, 0) == []


def test_a_middleware_that_does_not_count_losses_leads_to_a_guess():
    loss = watch()
    loss.counts_losses = False
    (warning,) = feed(loss, 10, 5, 0)
    assert 'may get lost' in warning
    loss = watch({VARIABLE: '/mine.xml'})
    loss.counts_losses = False
    assert feed(loss, 10, 5, 0) == []
