"""Detections to messages, field by field, and through real serialisation."""

import array

import numpy as np
import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import Image, PointCloud2, PointField  # noqa: E402
from std_msgs.msg import Header  # noqa: E402
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo  # noqa: E402

from rdk_yolo_ros.detections import Classifications, Detections  # noqa: E402
from rdk_yolo_ros.nodes import messages  # noqa: E402

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id='camera')
NAMES = ('person', 'bicycle', 'car')


class StandInMasks:
    """N masks that are a label image already."""

    def __init__(self, count, labels):
        self._count = count
        self._labels = labels

    def __len__(self):
        return self._count

    def to_label_image(self, height, width):
        assert self._labels.shape == (height, width)
        return self._labels


def random_detections(count, seed=0, **extra):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 500, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 100, (count, 2))], 1)
    return Detections(
        boxes.astype(np.float32),
        np.sort(rng.random(count).astype(np.float32))[::-1].copy(),
        rng.integers(0, 3, count).astype(np.int32), **extra)


def over_the_wire(message):
    return deserialize_message(serialize_message(message), type(message))


@pytest.mark.parametrize('count', [0, 1, 50])
def test_every_field_of_the_detections(count):
    detections = random_detections(count)
    message = over_the_wire(messages.detections_message(detections, HEADER, NAMES))
    assert isinstance(message, Detection2DArray)
    assert message.header == HEADER
    assert len(message.detections) == count
    for i, one in enumerate(message.detections):
        x1, y1, x2, y2 = detections.boxes[i].astype(np.float64)
        assert one.header == HEADER
        assert one.id == ''
        assert one.bbox.center.position.x == pytest.approx((x1 + x2) / 2, abs=1e-9)
        assert one.bbox.center.position.y == pytest.approx((y1 + y2) / 2, abs=1e-9)
        assert one.bbox.center.theta == 0.0
        assert one.bbox.size_x == pytest.approx(x2 - x1, abs=1e-9)
        assert one.bbox.size_y == pytest.approx(y2 - y1, abs=1e-9)
        (result,) = one.results
        assert result.hypothesis.class_id == NAMES[detections.class_ids[i]]
        assert result.hypothesis.score == float(detections.scores[i])
        assert not np.any(result.pose.covariance)
        assert result.pose.pose.position.x == 0.0


def test_without_names_the_class_id_is_the_number():
    detections = random_detections(20)
    message = messages.detections_message(detections, HEADER, None)
    assert [one.results[0].hypothesis.class_id for one in message.detections] == \
        [str(i) for i in detections.class_ids]


def test_a_class_without_a_name_keeps_its_number():
    detections = Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32),
                            np.array([7], np.int32))
    message = messages.detections_message(detections, HEADER, NAMES)
    assert message.detections[0].results[0].hypothesis.class_id == '7'


def test_angles_and_track_ids():
    detections = random_detections(3, angles=np.array([0.5, -1, 3], np.float32),
                                   track_ids=np.array([9, 2**40, 0], np.int64))
    message = over_the_wire(messages.detections_message(detections, HEADER, NAMES))
    assert [one.bbox.center.theta for one in message.detections] == [0.5, -1.0, 3.0]
    assert [one.id for one in message.detections] == ['9', str(2**40), '0']


@pytest.mark.parametrize('count', [0, 1, 13])
def test_key_points_are_an_organised_cloud_with_a_row_for_each_detection(count):
    points = np.random.default_rng(1).uniform(-50, 700, (count, 17, 3)).astype(np.float32)
    detections = random_detections(count, keypoints=points)
    message = over_the_wire(messages.keypoints_message(detections, HEADER))
    assert isinstance(message, PointCloud2)
    assert message.header == HEADER
    assert (message.height, message.width) == (count, 17)
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ('x', 0, PointField.FLOAT32, 1), ('y', 4, PointField.FLOAT32, 1),
        ('z', 8, PointField.FLOAT32, 1), ('score', 12, PointField.FLOAT32, 1)]
    assert (message.point_step, message.row_step) == (16, 16 * 17)
    assert message.is_dense is True
    assert message.is_bigendian is False
    cloud = np.frombuffer(message.data, '<f4').reshape(count, 17, 4)
    np.testing.assert_array_equal(cloud[..., :2], points[..., :2])
    np.testing.assert_array_equal(cloud[..., 2], 0)
    np.testing.assert_array_equal(cloud[..., 3], points[..., 2])


@pytest.mark.parametrize(('count', 'dtype', 'encoding'),
                         [(0, np.uint8, 'mono8'), (255, np.uint8, 'mono8'),
                          (300, np.uint16, 'mono16')])
def test_a_mask_is_one_label_image(count, dtype, encoding):
    labels = np.random.default_rng(2).integers(0, count + 1, (30, 46)).astype(dtype)
    detections = random_detections(count, masks=StandInMasks(count, labels))
    message = over_the_wire(messages.mask_message(detections, HEADER, (30, 46)))
    assert isinstance(message, Image)
    assert message.header == HEADER
    assert (message.height, message.width, message.encoding) == (30, 46, encoding)
    assert message.is_bigendian == 0
    assert message.step == 46 * labels.itemsize
    np.testing.assert_array_equal(
        np.frombuffer(message.data, dtype).reshape(30, 46), labels)


def test_bytes_are_handed_over_as_rclpy_takes_them_without_looking_at_each():
    detections = random_detections(2, keypoints=np.zeros((2, 17, 3), np.float32),
                                   masks=StandInMasks(2, np.zeros((4, 4), np.uint8)))
    assert isinstance(messages.keypoints_message(detections, HEADER).data, array.array)
    assert isinstance(messages.mask_message(detections, HEADER, (4, 4)).data, array.array)


def test_label_info_names_every_class():
    message = over_the_wire(messages.label_info_message(HEADER, NAMES, 0.25))
    assert isinstance(message, LabelInfo)
    assert message.header == HEADER
    assert [(c.class_id, c.class_name) for c in message.class_map] == list(enumerate(NAMES))
    assert message.threshold == 0.25


def test_detections_without_key_points_or_masks_have_no_such_message():
    detections = random_detections(1)
    with pytest.raises(ValueError, match='no key points'):
        messages.keypoints_message(detections, HEADER)
    with pytest.raises(ValueError, match='no masks'):
        messages.mask_message(detections, HEADER, (4, 4))


@pytest.mark.parametrize(('names', 'expected'), [
    (NAMES, ['car', 'person']), (None, ['2', '0'])], ids=['by name', 'by number'])
def test_every_field_of_the_classification(names, expected):
    classes = Classifications(np.array([2, 0], np.int32), np.array([.75, .25], np.float32))
    message = over_the_wire(messages.classification_message(classes, HEADER, names))
    assert isinstance(message, Classification)
    assert message.header == HEADER
    assert [one.class_id for one in message.results] == expected
    assert [one.score for one in message.results] == [.75, .25]
