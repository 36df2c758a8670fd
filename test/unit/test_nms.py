"""Suppression keeps what the plain greedy rule keeps."""

from hypothesis import given, settings, strategies as st
import numpy as np
from reference_decoder import iou

from rdk_yolo_ros.decode.nms import non_maximum_suppression


def greedy(boxes, scores, groups, threshold, limit):
    """Apply the rule itself: best first, drop what overlaps a kept one of its group too much."""
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all((groups is not None and groups[i] != groups[k])
               or iou(boxes[i].astype(float), boxes[k].astype(float)) <= threshold
               for k in kept):
            kept.append(i)
    return kept[:limit]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 40), st.booleans(),
       st.sampled_from([0.0, 0.3, 0.7, 1.0]), st.integers(1, 50))
def test_it_keeps_what_the_plain_rule_keeps(seed, count, grouped, threshold, limit):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(-50, 300, (count, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 200, (count, 2))], 1)
    boxes = boxes.astype(np.float32)
    scores = rng.choice([0.3, 0.5, 0.9, 0.91], count).astype(np.float32)  # ties, too
    groups = rng.integers(0, 3, count).astype(np.int32) if grouped else None
    kept = non_maximum_suppression(boxes, scores, groups, threshold, limit)
    assert kept.tolist() == greedy(boxes, scores, groups, threshold, limit)


def test_what_is_kept_is_kept_again():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 300, (200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 200, (200, 2))], 1)
    boxes, scores = boxes.astype(np.float32), rng.random(200).astype(np.float32)
    once = non_maximum_suppression(boxes, scores, None, 0.5, 300)
    again = non_maximum_suppression(boxes[once], scores[once], None, 0.5, 300)
    assert again.tolist() == list(range(len(once)))


def test_boxes_of_other_groups_far_outside_the_image_do_not_meet():
    boxes = np.array([[-5000, 0, -4000, 10], [5000, 0, 6000, 10]], np.float32)
    scores = np.array([0.9, 0.8], np.float32)
    for groups in (np.array([0, 1]), np.array([1, 0]), None):
        assert len(non_maximum_suppression(boxes, scores, groups, 0.1, 10)) == 2


def test_a_box_without_end_leaves_the_others_alone():
    boxes = np.array([[0, 0, 40, 40], [100, 0, 140, 40], [-1e37, 0, 1e38, 40]], np.float32)
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    for groups in (None, np.array([1, 1, 1]), np.array([2, 2, 0])):
        assert non_maximum_suppression(boxes, scores, groups, 0.5, 10).tolist() == [0, 1, 2]


def test_many_candidates_give_what_the_plain_rule_gives():
    rng = np.random.default_rng(3)
    corners = rng.uniform(0, 2000, (2500, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 120, (2500, 2))], 1)
    boxes, scores = boxes.astype(np.float32), rng.choice(np.linspace(0, 1, 50, dtype='f4'), 2500)
    groups = rng.integers(0, 2, 2500).astype(np.int32)
    for limit in (20, 300):  # the first is reached early, the second only with most candidates
        kept = non_maximum_suppression(boxes, scores, groups, 0.3, limit)
        assert kept.tolist() == greedy(boxes, scores, groups, 0.3, limit)


def test_no_boxes_are_no_problem():
    empty = np.zeros((0, 4), np.float32)
    assert len(non_maximum_suppression(empty, np.zeros(0, np.float32), None, 0.5, 10)) == 0


def test_boxes_without_an_area_suppress_nobody():
    """A box without a distribution may have its sides crossed; upstream keeps each of them."""
    boxes = np.array([[0, 0, 4, 4], [100, 50, 80, 60], [10, 10, 10, 30], [0, 0, 4, 4]], np.float32)
    scores = np.array([.9, .8, .7, .6], np.float32)
    kept = non_maximum_suppression(boxes, scores, None, 0.7, 300)
    assert kept.tolist() == [0, 1, 2]
    groups = np.array([0, 1, 2, 0])
    assert non_maximum_suppression(boxes, scores, groups, 0.7, 300).tolist() == [0, 1, 2]
