"""From result messages back to detections: what is read, and what is refused."""

from array import array

import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('vision_msgs')
from sensor_msgs.msg import Image, PointCloud2, PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Detection2D, Detection2DArray  # noqa: E402

from rdk_yolo_ros.detections import Detections  # noqa: E402
from rdk_yolo_ros.errors import FrameError  # noqa: E402
from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.nodes.messages import (  # noqa: E402
    detections_message,
    keypoints_message,
    mask_message,
)
from rdk_yolo_ros.nodes.overlay_picture import Picture  # noqa: E402
from rdk_yolo_ros.nodes.overlay_results import ClassNumbers, detections_from_messages  # noqa: E402

NAMES = ('cup', 'dog', 'cat')


class Masks:
    """Columns 0 to 9 are instance 0, 10 to 19 instance 1, and so on."""

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def to_label_image(self, height, width):
        return (np.arange(width) // 10 % (self.count + 1)).astype(np.uint8) * np.ones(
            (height, 1), np.uint8)


def found(count=3, **parts):
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 400, (count, 2))
    boxes = np.hstack([corners, corners + rng.uniform(1, 90, (count, 2))]).astype(np.float32)
    return Detections(boxes, rng.random(count).astype(np.float32),
                      (np.arange(count) % 3).astype(np.int32), **parts)


def read(message, keypoints=None, mask=None, classes=None):
    return detections_from_messages(message, keypoints, mask, classes or ClassNumbers())


@pytest.fixture
def classes():
    known = ClassNumbers()
    known.learn(list(enumerate(NAMES)))
    return known


@pytest.mark.parametrize('count', [0, 1, 300])
@pytest.mark.parametrize('names', [NAMES, None])
def test_what_the_yolo_node_publishes_is_read_back(classes, count, names):
    rng = np.random.default_rng(0)
    sent = found(count, keypoints=rng.random((count, 17, 3), np.float32),
                 angles=rng.uniform(-2, 2, count).astype(np.float32), masks=Masks(count))
    received, called = read(detections_message(sent, Header(), names),
                            keypoints_message(sent, Header()),
                            mask_message(sent, Header(), (48, 64)) if count < 255 else None,
                            classes)
    np.testing.assert_allclose(received.boxes, sent.boxes, atol=1e-3)
    np.testing.assert_array_equal(received.scores, sent.scores)
    np.testing.assert_array_equal(received.class_ids, sent.class_ids)
    np.testing.assert_array_equal(received.keypoints, sent.keypoints)
    if count:
        np.testing.assert_array_equal(received.angles, sent.angles)
        assert called == {i: NAMES[i] for i in range(min(count, 3))}
    if received.masks is not None:
        labels = Masks(count).to_label_image(48, 64)
        np.testing.assert_array_equal(received.masks.to_label_image(48, 64), labels)
        for i in range(count):
            np.testing.assert_array_equal(received.masks.full(i), labels == i + 1)


def test_unknown_classes_have_numbers_that_stay_and_differ():
    numbers = [ClassNumbers().number(name) for name in ('cup', 'dog', 'gelb', 'größer', '')]
    assert len(set(numbers)) == len(numbers)
    assert numbers[0] == ClassNumbers().number('cup')
    assert all(0 <= number < 2**31 for number in numbers)
    assert ClassNumbers().number('7') == 7
    assert ClassNumbers().number('99999999999999') < 2**31
    assert ClassNumbers().number('²') < 2**31


def test_numbers_get_their_names(classes):
    assert classes.name('1') == 'dog'
    assert classes.name('7') == '7'
    assert classes.name('dog') == 'dog'


def test_a_detection_without_a_hypothesis_is_drawn_all_the_same():
    received, _ = read(Detection2DArray(detections=[Detection2D()]))
    assert len(received) == 1
    assert received.scores[0] == 0


def cloud(**changes):
    message = keypoints_message(found(2, keypoints=np.ones((2, 3, 3), np.float32)), Header())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize('changes', [
    {'height': 3}, {'data': array('B', bytes(10))}, {'row_step': 0}, {'point_step': 8},
    {'width': 2**32 - 1}, {'width': 2**32 - 1, 'point_step': 0}, {'is_bigendian': True},
    {'fields': []},
    {'fields': [PointField(name=name, offset=4 * i, datatype=PointField.FLOAT64, count=1)
                for i, name in enumerate(('x', 'y', 'score'))]}])
def test_key_points_that_do_not_fit_are_refused(changes):
    message = detections_message(found(2), Header())
    with pytest.raises(FrameError, match='expected 2 instances with x, y and score'):
        read(message, keypoints=cloud(**changes))


def test_another_order_of_the_fields_is_read():
    values = np.array([[[0.5, 1, 2]]], '<f4')
    message = PointCloud2(height=1, width=1, point_step=12, row_step=12, data=values.tobytes(),
                          fields=[PointField(name=name, offset=4 * i, datatype=7, count=1)
                                  for i, name in enumerate(('score', 'x', 'y'))])
    received, _ = read(detections_message(found(1), Header()), keypoints=message)
    assert received.keypoints.tolist() == [[[1, 2, 0.5]]]


@pytest.mark.parametrize(('mask', 'words'), [
    (Image(encoding='bgr8', width=4, height=2, step=12, data=bytes(24)), 'expected mono8'),
    (Image(encoding='mono8', width=4, height=2, step=3, data=bytes(8)), 'expected mono8'),
    (Image(encoding='mono16', width=4, height=2, step=4, data=bytes(8)), 'expected mono8'),
    (Image(encoding='mono8', width=4, height=2, step=4, data=bytes(7)), 'expected mono8'),
    (Image(encoding='mono8', width=4, height=2, step=4, data=bytes([3] * 8)), 'instance 3')])
def test_masks_that_do_not_fit_are_refused(mask, words):
    with pytest.raises(FrameError, match=words):
        read(detections_message(found(2), Header()), mask=mask)


def test_masks_of_another_size_than_the_picture_are_refused():
    mask = Image(encoding='mono8', width=4, height=2, step=4, data=bytes(8))
    received, _ = read(detections_message(found(2), Header()), mask=mask)
    with pytest.raises(FrameError, match='masks are 4x2, expected the size of their image, 64x48'):
        received.masks.to_label_image(48, 64)


def test_masks_of_some_instances_are_numbered_anew():
    received, _ = read(detections_message(found(3), Header()),
                       mask=mask_message(found(3, masks=Masks(3)), Header(), (48, 64)))
    labels = Masks(3).to_label_image(48, 64)
    for index in (slice(1, 3), np.array([2, 0]), np.array([False, True, True])):
        some = received[index].masks
        chosen = np.arange(3)[index]
        assert len(some) == len(chosen)
        for i, instance in enumerate(chosen):
            np.testing.assert_array_equal(some.full(i), labels == instance + 1)
            np.testing.assert_array_equal(some.to_label_image(48, 64) == i + 1,
                                          labels == instance + 1)


@pytest.mark.parametrize('hw', [(47, 63), (47, 64), (48, 63)])
def test_masks_of_an_odd_image_fit_its_even_picture(hw):
    sent = found(2, masks=Masks(2))
    received, names = read(detections_message(sent, Header()),
                           mask=mask_message(sent, Header(), hw))
    even = hw[0] // 2 * 2, hw[1] // 2 * 2
    np.testing.assert_array_equal(received.masks.to_label_image(*even),
                                  Masks(2).to_label_image(*even))
    picture = Picture(Frame.from_bgr(np.zeros((*hw, 3), np.uint8)), 'nv12')
    picture.draw(received, names)
    assert picture.image((0, 0), '').data.any()
    with pytest.raises(FrameError, match='masks are'):
        received.masks.to_label_image(even[0] - 2, even[1])
