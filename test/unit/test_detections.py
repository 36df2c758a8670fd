"""Detections hold parallel arrays, and say so when they are not."""

import numpy as np
import pytest

from rdk_yolo_ros.detections import Classifications, Detections


def three():
    return Detections(np.arange(12, dtype=np.float32).reshape(3, 4),
                      np.array([0.9, 0.8, 0.7], np.float32), np.array([0, 1, 2], np.int32),
                      keypoints=np.zeros((3, 17, 3), np.float32))


def test_length_and_selection_by_slice_mask_and_indices():
    detections = three()
    assert len(detections) == 3
    assert detections[:2].class_ids.tolist() == [0, 1]
    assert detections[detections.scores > 0.75].class_ids.tolist() == [0, 1]
    assert detections[np.array([2, 0])].class_ids.tolist() == [2, 0]
    assert detections[1:].keypoints.shape == (2, 17, 3)


def test_a_single_number_is_no_selection():
    with pytest.raises(TypeError, match='one-dimensional'):
        three()[0]


@pytest.mark.parametrize(('change', 'named'), [
    ({'boxes': np.zeros((3, 5), np.float32)}, 'boxes'),
    ({'boxes': np.zeros((3, 4))}, 'boxes is float64'),
    ({'scores': np.zeros(2, np.float32)}, r'scores is float32 \(2,\)'),
    ({'class_ids': np.zeros(3, np.int64)}, 'class_ids is int64'),
    ({'keypoints': np.zeros((3, 17, 2), np.float32)}, 'keypoints'),
    ({'angles': np.zeros(4, np.float32)}, 'angles'),
    ({'track_ids': np.zeros(3, np.int32)}, 'track_ids')])
def test_arrays_that_are_not_parallel_are_refused_by_name(change, named):
    arrays = {'boxes': np.zeros((3, 4), np.float32), 'scores': np.zeros(3, np.float32),
              'class_ids': np.zeros(3, np.int32), **change}
    with pytest.raises(ValueError, match=named):
        Detections(**arrays)


@pytest.mark.parametrize('task', ['detect', 'segment', 'pose', 'obb'])
def test_an_empty_result_has_what_its_task_has(task):
    empty = Detections.empty(task, num_keypoints=5)
    assert len(empty) == 0
    assert (empty.keypoints is not None) == (task == 'pose')
    assert (empty.masks is not None) == (task == 'segment')
    assert (empty.angles is not None) == (task == 'obb')
    if task == 'segment':
        assert not empty[:0].masks.to_label_image(4, 6).any()


def test_an_unknown_task_has_no_empty_result():
    with pytest.raises(ValueError, match="'classify'"):
        Detections.empty('classify')


def test_classifications_check_their_arrays():
    best = Classifications(np.array([3, 1], np.int32), np.array([0.7, 0.2], np.float32))
    assert len(best) == 2
    with pytest.raises(ValueError, match='class_ids is int64'):
        Classifications(np.array([3, 1]), best.scores)
    with pytest.raises(ValueError, match='scores is float32'):
        Classifications(best.class_ids, best.scores[:1])
