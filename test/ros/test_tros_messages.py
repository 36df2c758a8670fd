"""Results to ai_msgs and hbm_img_msgs to frames, field by field, through real serialisation."""

import math
from pathlib import Path
import sys

from builtin_interfaces.msg import Time
import numpy as np
import pytest

pytest.importorskip('rclpy')
pytest.importorskip('ai_msgs')
pytest.importorskip('hbm_img_msgs')

from ai_msgs.msg import PerceptionTargets  # noqa: E402
from hbm_img_msgs.msg import HbmMsg480P, HbmMsg540P, HbmMsg1080P  # noqa: E402
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from rdk_yolo_ros.detections import Classifications, Detections  # noqa: E402
from rdk_yolo_ros.errors import FrameError  # noqa: E402
from rdk_yolo_ros.nodes.images import frame_from_message, header_of  # noqa: E402
from rdk_yolo_ros.nodes.perception import Work, perception_targets, performance  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'stand_ins' / 'tros'))
from tros_camera import image_message  # noqa: E402

NAMES = ('person', 'ball', 'hand')
HW = (480, 640)


class StandInMasks:
    """Two masks in whatever size is asked for: the left half, and the bottom right quarter."""

    def __len__(self):
        return 2

    def to_label_image(self, height, width):
        labels = np.zeros((height, width), np.uint8)
        labels[:, :width // 2] = 1
        labels[height // 2:, width // 2:] = 2
        return labels


def two(**extra):
    return Detections(np.array([[10.4, 20.6, 110.2, 220.5], [-3, 100, 700, 480]], np.float32),
                      np.array([0.75, 0.5], np.float32), np.array([0, 1], np.int32), **extra)


def targets_of(result, hw=HW, model_hw=(640, 640)):
    """Return the targets as they arrive."""
    message = PerceptionTargets(targets=perception_targets(result, hw, NAMES, model_hw))
    return deserialize_message(serialize_message(message), PerceptionTargets).targets


def rectangle(roi):
    return roi.rect.x_offset, roi.rect.y_offset, roi.rect.width, roi.rect.height


def test_a_detection_is_a_target_with_a_rectangle_of_whole_pixels_inside_the_image():
    first, second = targets_of(two())
    assert (first.type, first.track_id) == ('person', 0)
    (roi,) = first.rois
    assert (roi.type, roi.confidence) == ('person', 0.75)
    assert rectangle(roi) == (10, 21, 100, 199)
    assert rectangle(second.rois[0]) == (0, 100, 640, 380)
    assert [*first.points, *first.attributes, *first.captures] == []


def test_no_detections_are_no_targets():
    assert targets_of(Detections.empty('detect')) == []


def test_a_track_s_number_is_the_target_s():
    assert [target.track_id for target in targets_of(
        two(track_ids=np.array([7, 2**40], np.int64)))] == [7, 2**40]


def test_a_class_without_a_name_has_its_number():
    detections = two()
    (target, _) = perception_targets(detections, HW, (), (640, 640))
    assert target.type == target.rois[0].type == '0'


def test_a_person_s_key_points_are_body_kps_beside_a_body_s_rectangle():
    keypoints = np.array([[[11, 22, 0.25], [33.5, 44.5, 1]], [[0, 0, 0], [1, 2, 0.5]]], np.float32)
    person, ball = targets_of(two(keypoints=keypoints))
    assert (person.type, person.rois[0].type) == ('person', 'body')
    (points,) = person.points
    assert points.type == 'body_kps'
    assert [(point.x, point.y, point.z) for point in points.point] == [
        (11, 22, 0), (33.5, 44.5, 0)]
    assert list(points.confidence) == [0.25, 1.0]
    assert (ball.type, ball.rois[0].type) == ('ball', 'ball')
    assert ball.points[0].type == 'body_kps'


def test_a_hand_s_key_points_are_hand_kps():
    (hand,) = targets_of(Detections(
        np.array([[0, 0, 9, 9]], np.float32), np.ones(1, np.float32), np.array([2], np.int32),
        keypoints=np.zeros((1, 21, 3), np.float32)))
    assert (hand.rois[0].type, hand.points[0].type) == ('hand', 'hand_kps')
    assert len(hand.points[0].point) == len(hand.points[0].confidence) == 21


@pytest.mark.parametrize('angle', [0.0, 0.3, math.pi / 4, math.pi / 2, -2.0, 3.0])
def test_a_turned_box_has_the_upright_hull_of_its_corners(angle):
    centre, size = np.array([300, 200]), np.array([120, 40])
    (target,) = targets_of(Detections(
        np.array([[*centre - size / 2, *centre + size / 2]], np.float32), np.ones(1, np.float32),
        np.zeros(1, np.int32), angles=np.array([angle], np.float32)))
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners = centre + np.array([[x, y] for x in (-60, 60) for y in (-20, 20)]) @ turn.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    x, y, width, height = rectangle(target.rois[0])
    np.testing.assert_allclose([x, y, x + width, y + height], [*low, *high], atol=0.51)


def test_a_class_of_the_whole_image_is_a_target_with_an_empty_rectangle():
    first, second = targets_of(Classifications(np.array([1, 2], np.int32),
                                               np.array([0.75, 0.125], np.float32)))
    assert [first.type, second.type] == ['ball', 'hand']
    assert rectangle(first.rois[0]) == (320, 240, 0, 0)
    assert first.rois[0].confidence == 0.75
    (attribute,) = second.attributes
    assert (attribute.type, attribute.value, attribute.confidence) == ('classification', 2, 0.125)


def test_a_segmentation_has_one_target_more_with_a_class_for_each_cell():
    *boxes, whole = targets_of(two(masks=StandInMasks()))
    assert [target.type for target in boxes] == ['person', 'ball']
    assert (whole.type, whole.rois) == ('parking_space', [])
    (attribute,) = whole.attributes
    assert (attribute.type, attribute.value) == ('segmentation_label_count', len(NAMES))
    (capture,) = whole.captures
    # A model of 640x640 has 160x160 prototypes, of which 4:3 fills 160x120.
    assert (capture.img.height, capture.img.width, capture.img.step) == (120, 160, 1)
    classes = np.array(capture.features).reshape(120, 160)
    assert np.all(classes[:, :80] == 1)
    assert np.all(classes[60:, 80:] == 2)
    assert np.all(classes[:60, 80:] == 0)


def moment(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def test_the_steps_follow_each_other_and_have_the_model_s_name():
    work = Work(50.0, {'letterbox': 0.002, 'infer': 0.010, 'decode': 0.003})
    perfs = {perf.type: perf for perf in performance(
        work, Header(stamp=Time(sec=999, nanosec=990_000_000)), 'yolo',
        Time(sec=1000, nanosec=20_000_000), 50.020)}
    assert list(perfs) == ['yolo_preprocess', 'yolo_predict_infer', 'yolo_predict_parse',
                           'yolo_postprocess', 'yolo_pipeline']
    assert [round(perf.time_ms_duration, 6) for perf in perfs.values()] == [2, 10, 3, 8, 30]
    for perf in perfs.values():
        assert moment(perf.stamp_end) - moment(perf.stamp_start) == round(
            perf.time_ms_duration * 1e6)
    assert perfs['yolo_preprocess'].stamp_start == Time(sec=1000)
    assert perfs['yolo_preprocess'].stamp_end == perfs['yolo_predict_infer'].stamp_start
    assert perfs['yolo_pipeline'].stamp_start == Time(sec=999, nanosec=990_000_000)
    assert perfs['yolo_pipeline'].stamp_end == Time(sec=1000, nanosec=20_000_000)


@pytest.mark.parametrize(('stamp', 'now'), [(0, 1000), (1001, 1000), (5, 10000)])
def test_a_stamp_of_another_clock_makes_no_pipeline_time(stamp, now):
    perfs = performance(Work(50.0, {}), Header(stamp=Time(sec=stamp)), 'm', Time(sec=now), 50.0)
    assert [perf.type for perf in perfs] == ['m_preprocess', 'm_predict_infer',
                                             'm_predict_parse', 'm_postprocess']


def picture(height=480, width=640):
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(('kind', 'encoding', 'hw'), [
    ('HbmMsg480P', 'bgr8', (480, 640)), ('HbmMsg540P', 'nv12', (540, 960)),
    ('HbmMsg1080P', 'nv12', (1080, 1920)), ('HbmMsg1080P', 'bgr8', (1080, 1920))])
def test_a_shared_memory_image_is_a_view_on_its_message(kind, encoding, hw):
    message = image_message(kind, encoding, picture(*hw))
    message = deserialize_message(serialize_message(message), type(message))
    frame = frame_from_message(message)
    assert (frame.encoding, frame.hw) == (encoding, hw)
    assert np.shares_memory(frame.data, message.data)
    assert all(np.shares_memory(plane, message.data) for plane in frame.planes)
    if encoding == 'bgr8':
        np.testing.assert_array_equal(frame.to_bgr(), picture(*hw))


def test_rows_with_padding_are_read_by_their_step():
    message = HbmMsg480P(height=2, width=4, step=6, data_size=18)
    message.encoding[:4] = list(b'nv12')
    message.data[:18] = range(18)
    y, uv = frame_from_message(message).planes
    assert y.tolist() == [[0, 1, 2, 3], [6, 7, 8, 9]]
    assert uv.tolist() == [[[12, 13], [14, 15]]]


def test_grey_images_may_have_room_for_chroma():
    # What hobot_mipi_cam says of them is the size of the NV12 image that they come from.
    message = HbmMsg480P(height=2, width=4, step=4, data_size=12)
    message.encoding[:5] = list(b'mono8')
    message.data[:12] = range(12)
    assert frame_from_message(message).planes[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_an_encoding_may_fill_its_field_and_the_range_is_the_camera_s():
    message = HbmMsg480P(height=2, width=2, step=4, data_size=8)
    message.encoding[:] = list(b'yuv422_yuy2\0')
    assert frame_from_message(message, 'limited').encoding == 'yuyv'
    assert frame_from_message(message, 'limited').color_range == 'limited'
    message.encoding[:] = list(b'abcdefghijkl')
    with pytest.raises(FrameError, match="'abcdefghijkl'"):
        frame_from_message(message)


def test_stamp_and_number_are_the_header():
    message = HbmMsg1080P(index=41, time_stamp=Time(sec=5, nanosec=6))
    assert header_of(message) == Header(stamp=Time(sec=5, nanosec=6), frame_id='41')


@pytest.mark.parametrize(('changes', 'named'), [
    ({'data_size': 921601}, 'HbmMsg480P has data_size 921601, expected 1 to 921600'),
    ({'data_size': 0}, 'HbmMsg480P has data_size 0'),
    ({'data_size': 100}, 'has 100 bytes, expected at least 460800'),
    ({'encoding': b'h264'}, "HbmMsg480P has encoding 'h264', expected one of nv12, "),
    ({'encoding': b''}, "HbmMsg480P has encoding ''"),
    ({'encoding': b'\xff\xfe'}, r"HbmMsg480P has encoding '\\\\xff\\\\xfe'"),
    ({'height': 0}, '640x0 has no pixels'),
    ({'width': 0, 'step': 0}, '0x480 has no pixels'),
    ({'step': 100}, 'step 100, expected at least 640'),
    ({'height': 2**32 - 1}, 'expected at least'),
    ({'encoding': b'jpeg'}, 'JPEG')])
def test_a_malformed_shared_memory_image_is_a_frame_error_that_says_so(changes, named):
    message = image_message('HbmMsg480P', 'nv12', picture())
    for name, value in changes.items():
        if name == 'encoding':
            message.encoding[:] = list(value.ljust(12, b'\0'))
        else:
            setattr(message, name, value)
    with pytest.raises(FrameError, match=named):
        frame_from_message(message)


def test_the_sizes_are_upstreams():
    assert [kind.MAX_SIZE for kind in (HbmMsg1080P, HbmMsg540P, HbmMsg480P)] == [
        6220800, 1555200, 921600]
    assert all(kind().data.size == kind.MAX_SIZE for kind in (HbmMsg1080P, HbmMsg540P, HbmMsg480P))
