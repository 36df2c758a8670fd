"""Matching images and results: by the exact stamp, in order, within bounds."""

import pytest

from rdk_yolo_ros.nodes.overlay_matching import DETECTIONS, Matcher


class Clock:
    """A clock that the test turns."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def matcher(clock):
    return Matcher(limit=4, patience=0.5, clock=clock)


def stamp(number):
    return number // 10, number % 10


def shown(matches):
    return [(match.image, dict(match.parts)) for match in matches]


def add_images(matcher, numbers):
    return [match for number in numbers for match in matcher.add_image(stamp(number), number)]


def test_an_image_waits_for_its_own_result(matcher):
    assert not add_images(matcher, [1, 2])
    assert not matcher.add_parts(stamp(9), {DETECTIONS: 'of another'})
    assert shown(matcher.add_parts(stamp(1), {DETECTIONS: 'a'})) == [(1, {DETECTIONS: 'a'})]
    assert shown(matcher.add_parts(stamp(2), {DETECTIONS: 'b'})) == [(2, {DETECTIONS: 'b'})]
    assert len(matcher) == 0


def test_a_result_that_comes_before_its_image_waits_too(matcher):
    assert not matcher.add_parts(stamp(1), {DETECTIONS: 'a'})
    assert shown(matcher.add_image(stamp(1), 1)) == [(1, {DETECTIONS: 'a'})]


def test_stamps_that_differ_by_a_nanosecond_are_two(matcher):
    matcher.add_image((5, 999_999_999), 1)
    assert not matcher.add_parts((5, 999_999_998), {DETECTIONS: 'a'})
    assert not matcher.add_parts((6, 999_999_999), {DETECTIONS: 'a'})
    assert matcher.add_parts((5, 999_999_999), {DETECTIONS: 'a'})


def test_images_that_the_model_left_out_are_left_out_here(matcher):
    add_images(matcher, [1, 2, 3])
    assert shown(matcher.add_parts(stamp(3), {DETECTIONS: 'c'})) == [(3, {DETECTIONS: 'c'})]
    assert not matcher.add_parts(stamp(1), {DETECTIONS: 'a'})  # never backwards
    assert (matcher.counts.matched, matcher.counts.left_out) == (1, 2)


def test_all_kinds_that_are_wanted_are_waited_for(matcher):
    matcher.wanted = frozenset({DETECTIONS, 'keypoints'})
    add_images(matcher, [1])
    assert not matcher.add_parts(stamp(1), {'keypoints': 'k'})
    assert shown(matcher.add_parts(stamp(1), {DETECTIONS: 'a'})) == [
        (1, {DETECTIONS: 'a', 'keypoints': 'k'})]


def test_a_kind_that_does_not_come_is_done_without(matcher, clock):
    matcher.wanted = frozenset({DETECTIONS, 'keypoints'})
    add_images(matcher, [1])
    matcher.add_parts(stamp(1), {DETECTIONS: 'a'})
    clock.now += 0.4
    assert not matcher.expire()
    clock.now += 0.2
    assert shown(matcher.expire()) == [(1, {DETECTIONS: 'a'})]


def test_without_any_result_images_are_shown_as_they_are(matcher, clock):
    add_images(matcher, [1])
    clock.now += 0.3
    assert not add_images(matcher, [2])
    clock.now += 0.3
    assert shown(matcher.expire()) == [(1, {})]
    clock.now += 0.3
    assert shown(add_images(matcher, [3])) == [(2, {})]
    assert matcher.counts.plain == 2


def test_while_results_come_no_image_without_one_is_shown(matcher, clock):
    for number in range(0, 40, 2):
        assert not add_images(matcher, [number, number + 1])
        clock.now += 0.45
        assert len(matcher.add_parts(stamp(number + 1), {DETECTIONS: 'a'})) == 1
        # The model has not looked at the next image, which waits for longer than it may.
        assert not add_images(matcher, [100 + number])
        clock.now += 0.1
        assert not matcher.expire()
    assert matcher.counts.plain == 0


def test_no_more_wait_than_the_limit_says(matcher, clock):
    plain = add_images(matcher, range(10))
    assert [match.image for match in plain] == [0, 1, 2, 3, 4, 5]
    assert len(matcher) == 4
    # As long as results come, the older is dropped instead.
    assert matcher.add_parts(stamp(9), {DETECTIONS: 'a'})
    assert not add_images(matcher, range(10, 20))
    assert len(matcher) == 4
    assert matcher.counts.left_out == 3 + 6


def test_results_without_images_do_not_pile_up(matcher):
    for number in range(1000):
        matcher.add_parts(stamp(number), {DETECTIONS: number})
    assert not add_images(matcher, range(992, 996))
    matcher.clear()
    for number in range(1000):
        matcher.add_parts(stamp(number), {DETECTIONS: number})
    assert shown(add_images(matcher, [996])) == [(996, {DETECTIONS: 996})]


def test_every_image_is_accounted_for(matcher, clock):
    count = 0
    for number in range(200):
        count += len(matcher.add_image(stamp(number), number))
        clock.now += 0.033
        if number % 7 == 3:
            count += len(matcher.add_parts(stamp(number - number % 3), {DETECTIONS: 'a'}))
    counts = matcher.counts
    assert counts.matched + counts.plain == count
    assert counts.matched + counts.plain + counts.left_out + len(matcher) == 200


def test_what_waits_is_forgotten_on_request(matcher):
    add_images(matcher, [1])
    matcher.add_parts(stamp(2), {DETECTIONS: 'b'})
    matcher.clear()
    assert len(matcher) == 0
    assert not matcher.add_parts(stamp(1), {DETECTIONS: 'a'})
    assert not matcher.add_image(stamp(2), 2)
