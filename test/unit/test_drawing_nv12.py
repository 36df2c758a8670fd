"""Drawing on NV12 planes looks as drawing on the BGR picture does, and touches nothing else."""

import cv2
import numpy as np
import pytest

from rdk_yolo_ros import colour
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.drawing import COCO_SKELETON, class_colour, draw, draw_on_bgr, draw_on_nv12

GREY = np.full((480, 640, 3), 90, np.uint8)
RANGES = ('full', 'limited')


class Masks:
    """One ellipse an instance."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def to_label_image(self, height, width):
        labels = np.zeros((height, width), np.uint8)
        for i in range(self.count):
            cv2.ellipse(labels, (150 + 180 * i, 300), (60, 90), 20, 0, 360, i + 1, -1)
        return labels


def some(count=3, **parts):
    boxes = np.array([(80 + 180 * i, 180 + 20 * i, 220 + 180 * i, 420) for i in range(count)],
                     np.float32)
    return Detections(boxes, np.linspace(0.9, 0.5, count).astype(np.float32),
                      np.arange(count, dtype=np.int32), **parts)


def people():
    rng = np.random.default_rng(0)
    points = rng.uniform((60, 150, 0.6), (600, 440, 1.0), (3, 17, 3)).astype(np.float32)
    return some(keypoints=points)


CASES = {'boxes': some(), 'turned': some(angles=np.full(3, 0.4, np.float32)),
         'people': people(), 'masks': some(masks=Masks(3))}


def drawn_on_nv12(detections, color_range, base=GREY):
    nv12 = colour.bgr_to_nv12(base, color_range)
    draw_on_nv12(*colour.split_nv12(nv12), detections, ['cup', 'dog'], color_range=color_range)
    return nv12


@pytest.mark.parametrize('color_range', RANGES)
@pytest.mark.parametrize('case', CASES)
def test_it_looks_like_the_bgr_drawing(case, color_range):
    """Brightness to a rounding; colours from a little further away, as lines share chroma."""
    detections = CASES[case]
    there = colour.bgr_to_nv12(draw(GREY, detections, ['cup', 'dog']), color_range)
    here = drawn_on_nv12(detections, color_range)
    (y, uv), (own_y, own_uv) = colour.split_nv12(there), colour.split_nv12(here)
    assert np.abs(y.astype(int) - own_y).max() <= 6
    blurred, own_blurred = (cv2.blur(planes, (15, 15)).ravel() - 128.0 for planes in (uv, own_uv))
    assert np.corrcoef(blurred, own_blurred)[0, 1] > 0.9
    assert 0.6 < np.abs(own_blurred).mean() / np.abs(blurred).mean() < 1.7


@pytest.mark.parametrize('color_range', RANGES)
def test_a_boxs_edge_has_the_colour_of_its_class(color_range):
    detections = some(1)
    back = colour.nv12_to_bgr(drawn_on_nv12(detections, color_range), color_range)
    for x in (80, 220):
        # Saturated colours do not survive limited range exactly.
        np.testing.assert_allclose(back[300, x].astype(int), class_colour(0), atol=12)


def test_luma_outside_what_is_drawn_is_untouched_to_the_bit():
    rng = np.random.default_rng(1)
    base = rng.integers(0, 256, (480, 640, 3), np.uint8)
    before = colour.bgr_to_nv12(base, 'full')
    after = drawn_on_nv12(some(1), 'full', base)
    changed = before != after
    assert changed.any()
    assert not changed[:140].any()
    assert not changed[430:480].any()
    assert not changed[480 + 215:].any()
    assert not changed[190:415, 90:210].any()


def test_nothing_detected_changes_nothing():
    nv12 = colour.bgr_to_nv12(GREY, 'full')
    before = nv12.copy()
    draw_on_nv12(*colour.split_nv12(nv12), Detections.empty('pose', 17))
    np.testing.assert_array_equal(nv12, before)


def test_planes_of_a_larger_picture_are_drawn_on_in_place():
    large = np.zeros((720, 800), np.uint8)
    y, uv = colour.split_nv12(large)
    draw_on_nv12(y[:, 100:740], uv[:, 50:370], some(1), ['cup', 'dog'], COCO_SKELETON)
    alone = np.zeros((720, 640), np.uint8)
    draw_on_nv12(*colour.split_nv12(alone), some(1), ['cup', 'dog'], COCO_SKELETON)
    np.testing.assert_array_equal(large[:, 100:740], alone)
    assert not large[:, :100].any()
    assert not large[:, 740:].any()


def test_names_may_be_a_mapping_by_number():
    sequence, mapping, numbers = (GREY.copy() for _ in range(3))
    draw_on_bgr(sequence, some(3), ['cup', 'dog', 'cat'])
    draw_on_bgr(mapping, some(3), {2: 'cat', 0: 'cup', 1: 'dog'})
    np.testing.assert_array_equal(sequence, mapping)
    draw_on_bgr(numbers, some(3), {0: 'cup', 1: 'dog'})
    assert (numbers != mapping).any()


def test_a_name_that_is_wider_than_a_picture_is_shortened():
    shortened, long, other = (GREY.copy() for _ in range(3))
    draw_on_bgr(long, some(1), {0: 'a' * 100_000})
    draw_on_bgr(shortened, some(1), {0: 'a' * 37 + '...'})
    np.testing.assert_array_equal(long, shortened)
    draw_on_bgr(other, some(1), {0: 'a' * 36 + '...'})
    assert (other != long).any()
