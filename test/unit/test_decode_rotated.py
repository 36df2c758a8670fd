"""Rotated boxes: their overlap, their suppression, and where they lie in the source image."""

import math

import cv2
import numpy as np
import pytest
from reference_decoder import rotated_iou, suppress_rotated

from rdk_yolo_ros.decode import rotated_nms
from rdk_yolo_ros.decode.rotated_nms import probabilistic_iou, rotated_suppression
from rdk_yolo_ros.letterbox import Letterbox


def rotated_boxes(rng, count, spread=300):
    return np.column_stack([rng.uniform(0, spread, (count, 2)), rng.uniform(4, 90, (count, 2)),
                            rng.uniform(-1, 2.4, count)])


def hellinger_of_upright(a, b):
    """Return the closed form of the overlap where the axes are parallel: two normal pairs."""
    distance = 0.0
    for centre, size in ((0, 2), (1, 3)):
        one, two = a[size] ** 2 / 12, b[size] ** 2 / 12
        distance += (a[centre] - b[centre]) ** 2 / (4 * (one + two)) \
            + math.log((one + two) / (2 * math.sqrt(one * two))) / 2
    return 1 - math.sqrt(1 - math.exp(-distance))


@pytest.mark.parametrize('angle', [0, math.pi / 2, math.pi, -math.pi / 2])
def test_the_overlap_of_parallel_boxes_has_its_closed_form(angle):
    rng = np.random.default_rng(0)
    one, other = rotated_boxes(rng, 200, 60), rotated_boxes(rng, 200, 60)
    expected = [hellinger_of_upright(a, b) for a, b in zip(one, other)]
    if angle % math.pi:  # turned by a right angle: width and height change places
        one, other = one[:, [0, 1, 3, 2, 4]], other[:, [0, 1, 3, 2, 4]]
    one[:, 4] = other[:, 4] = angle
    np.testing.assert_allclose(probabilistic_iou(one, other), expected, atol=1e-5)


def test_the_overlap_of_turned_boxes_is_that_of_their_gaussians():
    rng = np.random.default_rng(1)
    one, other = rotated_boxes(rng, 300, 60), rotated_boxes(rng, 300, 60)
    expected = [rotated_iou(a, b) for a, b in zip(one, other)]
    np.testing.assert_allclose(probabilistic_iou(one, other), expected, atol=1e-5)
    assert max(expected) > 0.5


def test_the_overlap_does_not_change_with_a_common_turn_or_the_order():
    rng = np.random.default_rng(2)
    one, other = rotated_boxes(rng, 100, 60), rotated_boxes(rng, 100, 60)
    plain = probabilistic_iou(one, other)
    np.testing.assert_allclose(probabilistic_iou(other, one), plain, atol=1e-6)
    turn = np.array([[math.cos(0.7), -math.sin(0.7)], [math.sin(0.7), math.cos(0.7)]])
    for boxes in (one, other):
        boxes[:, :2] = boxes[:, :2] @ turn.T
        boxes[:, 4] += 0.7
    np.testing.assert_allclose(probabilistic_iou(one, other), plain, atol=1e-6)


def test_the_overlap_grows_with_that_of_the_polygons():
    # Another measure, so no figures: but a box drawn away from itself loses both.
    still = np.array([[50, 50, 60, 20, 0.4]])
    shifts = np.linspace(0, 40, 9)
    moved = np.repeat(still, len(shifts), axis=0)
    moved[:, 0] += shifts
    overlaps = probabilistic_iou(np.repeat(still, len(shifts), axis=0), moved)

    def area(box):
        x, y, w, h, angle = (float(n) for n in box)
        shape = cv2.rotatedRectangleIntersection(
            ((50., 50.), (60., 20.), math.degrees(0.4)), ((x, y), (w, h), math.degrees(angle)))[1]
        return 0. if shape is None else cv2.contourArea(cv2.convexHull(shape))

    areas = np.array([area(box) for box in moved])
    assert (np.diff(areas) <= 0).all()
    assert areas[0] > areas[-1]
    assert (np.diff(overlaps) < 0).all()


@pytest.mark.parametrize('threshold', [0.02, 0.1, 0.45, 0.7, 1.0])
@pytest.mark.parametrize('grouped', [False, True])
@pytest.mark.parametrize('pairs', [1 << 16, 90])
@pytest.mark.parametrize('count', [0, 1, 40])
def test_it_keeps_what_the_plain_rule_keeps(monkeypatch, count, pairs, grouped, threshold):
    monkeypatch.setattr(rotated_nms, '_PAIRS', pairs)
    rng = np.random.default_rng(3)
    boxes = rotated_boxes(rng, count, 150).astype(np.float32)
    scores = rng.permutation(np.linspace(0.1, 0.9, count)).astype(np.float32)
    groups = rng.integers(0, 3, count) if grouped else None
    expected = suppress_rotated([
        {'rotated': box.astype(float), 'score': score, 'number': i,
         'class_id': 0 if groups is None else groups[i]}
        for i, (box, score) in enumerate(zip(boxes, scores))], threshold)
    expected = [one['number'] for one in expected]
    for limit in (300, 3, 1000):
        kept = rotated_suppression(boxes, scores, groups, threshold, limit)
        assert kept.tolist() == expected[:limit]


def test_a_box_that_is_suppressed_still_suppresses():
    boxes = np.array([[x, 0, 40, 40, 0] for x in (0, 12, 24)], np.float32)
    pairs = [probabilistic_iou(boxes[i:i + 1].astype(float), boxes[j:j + 1].astype(float))[0]
             for i, j in ((0, 1), (1, 2), (0, 2))]
    assert min(pairs[:2]) > 0.6 > 0.55 > pairs[2]
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    assert rotated_suppression(boxes, scores, None, 0.58, 10).tolist() == [0]


def test_many_boxes_in_one_place_are_one():
    # As many as Ultralytics lets in at the most: all pairs would be a matrix of gigabytes.
    rng = np.random.default_rng(4)
    boxes = rotated_boxes(rng, 30000, 2).astype(np.float32)
    boxes[:, 2:] = [50, 20, 0.3]
    kept = rotated_suppression(boxes, rng.random(30000).astype(np.float32), None, 0.5, 300)
    assert len(kept) == 1


# Into the source image

def corners(boxes, angles):
    """Return float64 (N, 4, 2)."""
    centres = (boxes[:, :2].astype(float) + boxes[:, 2:]) / 2
    halves = (boxes[:, 2:].astype(float) - boxes[:, :2]) / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    local = halves[:, None] * signs
    cosines, sines = np.cos(angles)[:, None], np.sin(angles)[:, None]
    return centres[:, None] + np.stack([
        local[..., 0] * cosines - local[..., 1] * sines,
        local[..., 0] * sines + local[..., 1] * cosines], -1)


def some_boxes(rng, count=200):
    boxes = rotated_boxes(rng, count, 600)
    halves = boxes[:, 2:4] / 2
    return (np.concatenate([boxes[:, :2] - halves, boxes[:, :2] + halves], 1).astype(np.float32),
            boxes[:, 4].astype(np.float32))


def test_equal_scales_keep_the_angle_and_map_the_corners():
    letterbox = Letterbox.fit((1080, 1920), (640, 640))
    boxes, angles = some_boxes(np.random.default_rng(5))
    mapped, turned = letterbox.rotated_boxes_to_source(boxes, angles)
    np.testing.assert_array_equal(turned, angles)
    assert mapped.dtype == turned.dtype == np.float32
    expected = (corners(boxes, angles) - [0, 140]) * 3
    np.testing.assert_allclose(corners(mapped, turned), expected, atol=1e-2)
    assert (mapped < 0).any(), 'a clipped rectangle would not be one about its centre'


@pytest.mark.parametrize('source_hw', [(333, 500), (1000, 77), (101, 77)])
def test_scales_that_differ_turn_a_rectangle_right_to_first_order(source_hw):
    letterbox = Letterbox.fit(source_hw, (640, 640))
    apart = abs(letterbox.scale_x / letterbox.scale_y - 1)
    assert apart > 1e-4
    rng = np.random.default_rng(6)
    boxes, angles = some_boxes(rng)
    mapped, turned = letterbox.rotated_boxes_to_source(boxes, angles)
    exact = (corners(boxes, angles) - [letterbox.left, letterbox.top]) / [letterbox.scale_x,
                                                                          letterbox.scale_y]
    # An edge that is mapped turns by half of `apart` at the most; a long thin rectangle goes
    # with its long side, and nothing but a square is off by more than what is no rectangle.
    found = corners(mapped, turned)
    off = np.linalg.norm(found - exact, axis=-1).max(axis=1)
    sizes = np.sort(mapped[:, 2:] - mapped[:, :2], axis=1)
    assert (off <= 0.75 * apart * sizes[:, 0] + 1e-3).all()
    # The plain way, each side scaled by its own axis and the angle kept, is worse.
    halves = (boxes[:, 2:] - boxes[:, :2]) / 2 / [letterbox.scale_x, letterbox.scale_y]
    centres = exact.mean(axis=1)
    plain = corners(np.concatenate([centres - halves, centres + halves], 1), angles)
    assert np.square(found - exact).sum() < 0.5 * np.square(plain - exact).sum()


def test_no_rectangle_near_it_fits_better():
    letterbox = Letterbox((100, 100), (640, 640), (620, 640))
    boxes, angles = some_boxes(np.random.default_rng(7), 40)
    mapped, turned = letterbox.rotated_boxes_to_source(boxes, angles)
    exact = corners(boxes, angles) / [letterbox.scale_x, letterbox.scale_y]

    def misfit(boxes, angles):
        return np.square(corners(boxes, angles) - exact).sum(axis=(1, 2))

    best = misfit(mapped, turned)
    for step in (1e-3, -1e-3, 1e-2, -1e-2):
        assert (misfit(mapped, turned + step) > best - 1e-9).all()
        for grow in ([-1, 0, 1, 0], [0, -1, 0, 1]):
            assert (misfit(mapped + np.array(grow) * step, turned) > best - 1e-5).all()
