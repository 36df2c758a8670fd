"""Results as bytes, field after field as vision_msgs and sensor_msgs declare them."""

import numpy as np
from plain_cdr import serialise
import pytest

from rdk_yolo_ros import cdr
from rdk_yolo_ros.detections import Classifications, Detections

STAMP, FRAME_ID = (-5, 999_999_999), 'camera'
HEADER = [('i', -5), ('I', 999_999_999), ('string', 'camera')]
NAMES = ('person', 'caf\u00e9', '', 'traffic light', 'n' * 700)


def random_detections(count, **extra):
    rng = np.random.default_rng(count)
    return Detections(rng.normal(300, 100, (count, 4)).astype(np.float32),
                      rng.random(count, np.float32),
                      rng.integers(-1, len(NAMES) + 2, count, dtype=np.int32), **extra)


def detection_fields(header, detections, i, name, angle, track_id):
    x1, y1, x2, y2 = detections.boxes[i].astype(float)
    numbers = [float(detections.scores[i]), 0, 0, 0, 0, 0, 0, 1, *[0] * 36,
               x1 + (x2 - x1) / 2, y1 + (y2 - y1) / 2, angle, x2 - x1, y2 - y1]
    return [*header, ('I', 1), ('string', name), *[('d', value) for value in numbers],
            ('string', track_id)]


@pytest.mark.parametrize('count', [0, 1, 2, 3, 40])
@pytest.mark.parametrize('names', [None, NAMES], ids=['numbers', 'names'])
@pytest.mark.parametrize('is_tracked', [False, True])
@pytest.mark.parametrize('frame_id', ['', 'cam', 'camera_optical_frame'])
def test_detections(count, names, is_tracked, frame_id):
    extra = {}
    if is_tracked:
        extra = {'angles': np.linspace(-3, 3, count).astype(np.float32),
                 'track_ids': np.int64(-7) ** (np.arange(count) % 22)}
    detections = random_detections(count, **extra)
    header = [*HEADER[:2], ('string', frame_id)]
    fields = [*header, ('I', count)]
    for i, number in enumerate(detections.class_ids.tolist()):
        named = names is not None and 0 <= number < len(names)
        fields += detection_fields(
            header, detections, i, names[number] if named else str(number),
            float(detections.angles[i]) if is_tracked else 0.0,
            str(detections.track_ids[i]) if is_tracked else '')
    assert cdr.DetectionsWriter(names).write(detections, STAMP, frame_id) == serialise(fields)[0]


def test_a_writer_that_met_every_class_number_keeps_few_and_stays_right():
    writer = cdr.DetectionsWriter()
    for first in range(0, 20_000, 1000):
        numbers = np.arange(first, first + 1000, dtype=np.int32)
        detections = Detections(np.zeros((1000, 4), np.float32), np.ones(1000, np.float32),
                                numbers)
        message = writer.write(detections, STAMP, FRAME_ID)
        assert message == cdr.DetectionsWriter().write(detections, STAMP, FRAME_ID)
    assert sum(map(len, writer._names.values())) <= 4096


def test_the_results_are_left_as_they_are():
    detections = random_detections(3, angles=np.ones(3, np.float32))
    before = detections.boxes.copy(), detections.scores.copy(), detections.angles.copy()
    cdr.DetectionsWriter(NAMES).write(detections, STAMP, FRAME_ID)
    for array, copy in zip((detections.boxes, detections.scores, detections.angles), before):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(('count', 'points'), [(0, 17), (1, 1), (4, 17), (2, 0)])
def test_keypoints(count, points):
    keypoints = np.random.default_rng(0).random((count, points, 3), np.float32)
    detections = random_detections(count, keypoints=keypoints)
    fields = [*HEADER, ('I', count), ('I', points), ('I', 4)]
    for i, name in enumerate(('x', 'y', 'z', 'score')):
        fields += [('string', name), ('I', 4 * i), ('B', 7), ('I', 1)]
    cloud = b''.join(np.array([x, y, 0, score], '<f4').tobytes()
                     for x, y, score in keypoints.reshape(-1, 3))
    fields += [('?', False), ('I', 16), ('I', 16 * points), ('uint8s', cloud), ('?', True)]
    assert cdr.write_keypoints(detections, STAMP, FRAME_ID) == serialise(fields)[0]


def test_a_classification():
    classes = Classifications(np.array([1, 9], np.int32), np.array([.75, .25], np.float32))
    fields = [*HEADER, ('I', 2), ('string', 'caf\u00e9'), ('d', .75), ('string', '9'),
              ('d', .25)]
    assert cdr.write_classification(classes, STAMP, FRAME_ID, NAMES) == serialise(fields)[0]


def test_label_info():
    fields = [*HEADER, ('I', len(NAMES))]
    for i, name in enumerate(NAMES):
        fields += [('H', i), ('string', name)]
    fields += [('f', .25)]
    assert cdr.write_label_info(NAMES, .25, STAMP, FRAME_ID) == serialise(fields)[0]


def test_what_a_result_does_not_have_is_said():
    with pytest.raises(ValueError, match='no key points'):
        cdr.write_keypoints(random_detections(1), STAMP, FRAME_ID)
    with pytest.raises(ValueError, match='no masks'):
        cdr.label_image(random_detections(1), STAMP, FRAME_ID, (2, 2))
