"""Drawing: what is drawn, where, and what is left alone."""

import numpy as np
import pytest

from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.drawing import COCO_SKELETON, class_colour, draw, line_width

GREY = np.full((480, 640, 3), 90, np.uint8)


class Masks:
    """Full-size masks, as `decode` gives them."""

    def __init__(self, masks):
        self.masks = masks

    def __len__(self):
        return len(self.masks)

    def to_label_image(self, height, width):
        labels = np.zeros((height, width), np.uint8)
        for i in reversed(range(len(self.masks))):
            labels[self.masks[i]] = i + 1
        return labels


def detections(boxes, class_ids=None, **parts):
    """Return detections with scores of 0.9."""
    count = len(boxes)
    ids = np.zeros(count, np.int32) if class_ids is None else np.array(class_ids, np.int32)
    return Detections(np.array(boxes, np.float32).reshape(count, 4),
                      np.full(count, 0.9, np.float32), ids, **parts)


def changed(picture, base=GREY):
    """Return where a picture differs from what it was drawn on, bool (h, w)."""
    return (picture != base).any(axis=2)


def test_nothing_detected_is_an_untouched_copy():
    """The caller may go on drawing on it."""
    picture = draw(GREY, Detections.empty())
    assert not np.shares_memory(picture, GREY)
    np.testing.assert_array_equal(picture, GREY)


@pytest.mark.parametrize('read_only', [True, False])
def test_the_picture_that_was_given_is_left_alone(read_only):
    """A view on a camera's memory cannot even be written to."""
    base = GREY.copy()
    base.flags.writeable = not read_only
    picture = draw(base, detections([(100, 100, 300, 300)]), ['person'])
    assert changed(picture).any()
    np.testing.assert_array_equal(base, GREY)


def test_a_box_is_drawn_on_its_edges_in_the_colour_of_its_class():
    """All four sides, and nothing inside it."""
    picture = draw(GREY, detections([(100, 200, 300, 400)], [3]))
    for y, x in ((300, 100), (300, 300), (400, 200), (200, 290)):
        np.testing.assert_array_equal(picture[y, x], class_colour(3))
    assert not changed(picture)[210:390, 110:290].any()
    assert not changed(picture)[410:].any()


def test_a_turned_box_is_drawn_clockwise_about_its_centre():
    """A wide box turned by 90 degrees is a tall one; by 45 its corner is below the centre."""
    quarter = draw(GREY, detections([(200, 220, 400, 260)],
                                    angles=np.array([np.pi / 2], np.float32)))
    np.testing.assert_array_equal(quarter[300, 280], class_colour(0))
    assert not changed(quarter)[240, 210]
    eighth = changed(draw(GREY, detections([(200, 238, 400, 242)],
                                           angles=np.array([np.pi / 4], np.float32))))
    assert eighth[305:312, 360:380].any()
    assert not eighth[170:176, 360:380].any()


def test_classes_have_colours_that_stay_and_differ():
    """The first eighty are pairwise distinct, and bright enough to be seen on black."""
    colours = [class_colour(i) for i in range(80)]
    assert colours == [class_colour(i) for i in range(80)]
    assert len(set(colours)) == 80
    assert min(max(colour) for colour in colours) >= 150


def test_a_label_is_written_above_the_box_or_inside_at_the_upper_edge():
    """It is never cut off by the picture."""
    above = changed(draw(GREY, detections([(100, 200, 300, 400)]), ['person']))
    assert above[184:198, 104:150].any()
    at_edge = changed(draw(GREY, detections([(100, 0, 300, 200)]), ['person']))
    assert at_edge[4:14, 104:150].all()
    right = changed(draw(GREY, detections([(620, 200, 639, 300)]), ['person']))
    assert right[190, 560:600].any()


def test_the_name_of_the_class_is_on_the_label():
    """A longer name makes a longer label; a class without a name, or not in ASCII, a number."""
    def label_width(names, class_id=0):
        picture = draw(GREY, detections([(100, 200, 110, 210)], [class_id]), names)
        return np.ptp(np.flatnonzero(changed(picture)[:198].any(axis=0)))

    assert label_width(['dog']) < label_width(['a much longer name'])
    assert label_width(None) == label_width([]) == label_width(['人']) == label_width(['0'])


@pytest.mark.parametrize(('height', 'width'), [(480, 640), (1080, 1920), (2160, 3840)])
def test_lines_grow_with_the_picture(height, width):
    """A 4K picture shown on a smaller screen still shows them."""
    base = np.full((height, width, 3), 90, np.uint8)
    x = width // 2
    picture = draw(base, detections([(x, height // 2, x + 200, height - 50)]))
    row = changed(picture, base)[height - 100, x - 30:x + 30].sum()
    assert line_width(base) <= row <= line_width(base) + 4  # OpenCV rounds up and smooths
    assert line_width(base) == round(height / 300)


def people(count=17, confidence=0.9):
    """Return one person whose key points are on a grid of 20 pixels, float32 (1, K, 3)."""
    points = np.full((1, count, 3), confidence, np.float32)
    points[0, :, 0] = 200 + 40 * (np.arange(count) % 4)
    points[0, :, 1] = 150 + 40 * (np.arange(count) // 4)
    return points


def test_key_points_are_joined_by_the_skeleton():
    """Halfway along each limb there is a line; without a skeleton there are points only."""
    points = people()
    box = [(100, 100, 500, 400)]
    joined = changed(draw(GREY, detections(box, keypoints=points)))
    single = changed(draw(GREY, detections(box, keypoints=points), skeleton=None))
    for start, end in COCO_SKELETON:
        x, y = np.rint(points[0, [start, end], :2].mean(axis=0)).astype(int)
        assert joined[y, x], (start, end)
    for x, y, _ in points[0].astype(int):
        assert joined[y, x]
        assert single[y, x]
    assert single.sum() < joined.sum()


def test_the_skeleton_of_coco_is_left_out_for_other_key_points():
    """A model with five key points has other limbs, or none."""
    points = people(5)
    box = [(100, 100, 500, 400)]
    alone = draw(GREY, detections(box, keypoints=points))
    np.testing.assert_array_equal(
        alone, draw(GREY, detections(box, keypoints=points), skeleton=None))
    own = draw(GREY, detections(box, keypoints=points), skeleton=[(0, 1), (3, 16)])
    assert changed(own)[150, 220]
    assert not changed(alone)[150, 220]


def test_left_and_right_limbs_have_different_colours():
    """So that a mirrored pose is seen."""
    points = people()
    picture = draw(GREY, detections([(100, 100, 500, 400)], keypoints=points))

    def at(start, end):
        x, y = np.rint(points[0, [start, end], :2].mean(axis=0)).astype(int)
        return tuple(picture[y, x])

    assert at(13, 15) != at(14, 16)


def test_key_points_below_the_threshold_and_their_limbs_are_not_drawn():
    """A guess of the model's is no key point; neither is NaN."""
    points = people()
    points[0, 9] = 450, 120, 0.49
    points[0, 10, 0] = np.nan
    picture = changed(draw(GREY, detections([(100, 100, 500, 400)], keypoints=points)))
    x, y = points[0, 9, :2].astype(int)
    assert not picture[y - 3:y + 4, x - 3:x + 4].any()
    lower = draw(GREY, detections([(100, 100, 500, 400)], keypoints=points),
                 keypoint_threshold=0.4)
    assert changed(lower)[y, x]


def test_masks_tint_their_own_pixels_only():
    """Each in the colour of its class, the picture still to be seen through it."""
    mask = np.zeros((2, 480, 640), bool)
    mask[0, 220:380, 120:280] = True
    mask[1, 220:380, 420:580] = True
    picture = draw(GREY, detections([(100, 200, 300, 400), (400, 200, 600, 400)], [0, 1],
                                    masks=Masks(mask)))
    for class_id, x in ((0, 200), (1, 500)):
        inside = picture[300, x].astype(float)
        np.testing.assert_allclose(inside, 90 * 0.55 + np.array(class_colour(class_id)) * 0.45,
                                   atol=1)
    inside = changed(picture)[210:390, 110:290]
    assert not inside[:8].any()
    assert not inside[:, -8:].any()
    assert inside[20:160, 20:160].all()


@pytest.mark.parametrize('box', [(-1e9, -1e9, 1e9, 1e9), (700, 500, 900, 600), (5, 5, 5, 5),
                                 (np.nan, 0, 10, 10)])
@pytest.mark.parametrize('size', [(480, 640), (2, 2)])
def test_boxes_beyond_the_picture_do_not_stop_the_drawing(box, size):
    """A picture for people must not bring a robot down."""
    base = np.full((*size, 3), 90, np.uint8)
    points = np.full((1, 17, 3), 1e12, np.float32)
    picture = draw(base, detections([box], keypoints=points,
                                    angles=np.array([0.3], np.float32)), ['person'])
    assert picture.shape == base.shape
