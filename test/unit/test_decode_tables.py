"""A table decodes to what the raw heads that it was made from decode to."""

import math

from head_tensors import EXTRA_ROLES, as_outputs, layout_of, levels_by_role, planted_heads
import numpy as np
import pytest
from reference_decoder import (
    decode_cell_box,
    decode_cell_keypoints,
    decode_cell_rotated_box,
    reference_decode,
    sigmoid,
)

from rdk_yolo_ros.decode import DecodeOptions, make_decoder
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.errors import HeadError, ModelError
from rdk_yolo_ros.head_layout import Head, HeadLayout, Table
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

HW = (192, 320)
CLASSES = 6
TASKS = ('detect', 'segment', 'pose', 'obb')
IDENTITY = Letterbox.identity(HW)


def raw_case(task, dims=3):
    """Return a layout of raw heads, its arrays, and the reference's levels and prototypes."""
    rng = np.random.default_rng(6)
    heads = planted_heads(rng, task, HW, CLASSES, 14, num_keypoints=5, keypoint_dims=dims)
    order = list(heads)
    infos, arrays = as_outputs(heads, order)
    levels, prototypes = levels_by_role(infos, arrays, order, EXTRA_ROLES[task])
    layout = layout_of(infos, order, HW, task, keypoint_dims=dims)
    return layout, arrays, levels, prototypes


def dense_rows(levels, task, dims=3):
    """Return Ultralytics' plain export, a row for each cell, decoded by the reference."""
    rows = []
    for stride, classes, boxes, extra in levels:
        for r in range(classes.shape[0]):
            for c in range(classes.shape[1]):
                more = [] if extra is None else extra[r, c]
                x1, y1, x2, y2 = decode_cell_box(boxes[r, c], c, r, stride)
                box = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
                if task == 'obb':
                    more = [(sigmoid(float(extra[r, c, 0])) - 0.25) * math.pi]
                    box = decode_cell_rotated_box(boxes[r, c], more[0], c, r, stride)[:4]
                elif task == 'pose':
                    points = decode_cell_keypoints(extra[r, c], dims, c, r, stride, 'v8')
                    more = [n for point in points for n in point[:dims]]
                rows.append([*box, *map(sigmoid, classes[r, c].astype(float)), *more])
    return np.array(rows, np.float32)


def end_to_end_rows(expected, task, dims=3):
    """Return an end-to-end export of the reference's instances, 300 rows."""
    rows = []
    for one in expected:
        box, more = one['box'], []
        if task == 'obb':
            *box, angle = one['rotated']
            more = [angle]
        elif task == 'pose':
            more = [n for point in one['keypoints'] for n in point[:dims]]
        elif task == 'segment':
            more = one['extra']
        rows.append([*box, one['score'], one['class_id'], *more])
    table = np.zeros((300, len(rows[0])), np.float32)
    table[:len(rows)] = rows
    return table


def table_layout(rows, form, task, prototypes=None, rows_first=False, dims=3, stored=None,
                 **info):
    """Return the layout of a table with these rows, and its arrays."""
    stored = rows if stored is None else stored
    array = (stored if rows_first else stored.T)[None]
    array = np.ascontiguousarray(array)
    table = Table(0, TensorInfo('output0', array.shape, array.dtype, **info), form, *rows.shape,
                  rows_first)
    arrays, head = [array], None
    if prototypes is not None:
        arrays.append(np.ascontiguousarray(
            prototypes.transpose(2, 0, 1)[None].astype(np.float32)))
        head = Head(1, TensorInfo('output1', arrays[1].shape, np.float32), prototypes.shape[:2],
                    prototypes.shape[2], False)
    return HeadLayout(task, HW, (), CLASSES, 1, num_keypoints=5 if task == 'pose' else 0,
                      prototypes=head, keypoint_dims=dims, nms=form == 'dense',
                      table=table), arrays


def assert_alike(ours, theirs, pixels=0.01):
    assert len(ours) == len(theirs) > 3
    Detections(**vars(ours))  # the constructor's checks, which a decoder skips
    assert ours.class_ids.tolist() == theirs.class_ids.tolist()
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=pixels)
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5 if pixels < 0.1 else 0.01)
    for name in ('keypoints', 'angles'):
        if getattr(theirs, name) is not None:
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=pixels)
    if theirs.masks is not None:
        for i in range(len(theirs)):
            a, b = ours.masks.full(i), theirs.masks.full(i)
            assert (a & b).sum() >= 0.999 * (a | b).sum()


@pytest.mark.parametrize('rows_first', [False, True])
@pytest.mark.parametrize('task', TASKS)
def test_a_dense_table_decodes_as_the_raw_heads_do(task, rows_first):
    layout, arrays, levels, prototypes = raw_case(task)
    table, tensors = table_layout(dense_rows(levels, task), 'dense', task, prototypes,
                                  rows_first)
    assert_alike(make_decoder(table)(tensors, IDENTITY), make_decoder(layout)(arrays, IDENTITY))


@pytest.mark.parametrize('rows_first', [False, True])
@pytest.mark.parametrize('task', TASKS)
def test_an_end_to_end_table_decodes_as_the_instances_that_it_holds(task, rows_first):
    layout, arrays, levels, prototypes = raw_case(task)
    expected = reference_decode(levels, 0.05, 0.7, prototypes, task=task)
    table, tensors = table_layout(end_to_end_rows(expected, task), 'end_to_end', task,
                                  prototypes, rows_first)
    assert_alike(make_decoder(table)(tensors, IDENTITY), make_decoder(layout)(arrays, IDENTITY))


@pytest.mark.parametrize('form', ['dense', 'end_to_end'])
def test_key_points_of_two_values_in_a_table_are_certain(form):
    layout, arrays, levels, _ = raw_case('pose', dims=2)
    rows = dense_rows(levels, 'pose', 2) if form == 'dense' else end_to_end_rows(
        reference_decode(levels, 0.25, 0.7, task='pose', dims=2), 'pose', 2)
    table, tensors = table_layout(rows, form, 'pose', dims=2)
    assert_alike(make_decoder(table)(tensors, IDENTITY), make_decoder(layout)(arrays, IDENTITY))


@pytest.mark.parametrize('form', ['dense', 'end_to_end'])
@pytest.mark.parametrize('options', [
    {'score_threshold': 0.9}, {'classes': (1, 4)}, {'max_detections': 4},
    {'score_thresholds': {0: 0.9, 2: 0.05}}], ids=str)
def test_options_hold_for_tables_too(form, options):
    layout, arrays, levels, _ = raw_case('detect')
    rows = dense_rows(levels, 'detect') if form == 'dense' else end_to_end_rows(
        reference_decode(levels, 0.01, 0.7), 'detect')
    table, tensors = table_layout(rows, form, 'detect')
    options = DecodeOptions(**options)
    ours = make_decoder(table, options)(tensors, IDENTITY)
    theirs = make_decoder(layout, options)(arrays, IDENTITY)
    assert ours.class_ids.tolist() == theirs.class_ids.tolist()
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=0.01)
    assert 0 < len(ours) < len(make_decoder(table, DecodeOptions(0.01))(tensors, IDENTITY))


@pytest.mark.parametrize('form', ['dense', 'end_to_end'])
@pytest.mark.parametrize('rows_first', [False, True])
def test_a_quantized_table_has_a_scale_for_each_column(form, rows_first):
    _, _, levels, _ = raw_case('detect')
    rows = dense_rows(levels, 'detect') if form == 'dense' else end_to_end_rows(
        reference_decode(levels, 0.25, 0.7), 'detect')
    scale = np.full(rows.shape[1], 1 / 250, np.float32)  # probabilities
    scale[:4] = 0.02
    if form == 'end_to_end':
        scale[5] = 1
    stored = np.round(rows / scale + 3).astype(np.int32)
    quantized = table_layout(rows, form, 'detect', rows_first=rows_first, stored=stored,
                             scale=scale, zero_point=[3], quantize_axis=2 if rows_first else 1)
    real = ((stored - 3) * scale.astype(np.float64)).astype(np.float32)
    plain = table_layout(real, form, 'detect', rows_first=rows_first)
    assert_alike(make_decoder(quantized[0])(quantized[1], IDENTITY),
                 make_decoder(plain[0])(plain[1], IDENTITY))


def test_a_table_quantized_by_row_is_refused():
    rows = np.zeros((300, 6), np.float32)
    layout, _ = table_layout(rows, 'end_to_end', 'detect', stored=rows.astype(np.int8),
                             scale=np.ones(300), quantize_axis=2)
    with pytest.raises(HeadError, match='run along axis 2.*expected its channels, axis 1'):
        make_decoder(layout)


def test_rows_of_classes_that_the_model_lacks_are_no_instances():
    rows = np.zeros((300, 6), np.float32)
    rows[:5] = [10, 10, 50, 50, 0.9, 0]
    rows[:5, 5] = [0, -1, CLASSES, np.nan, CLASSES - 1]
    layout, arrays = table_layout(rows, 'end_to_end', 'detect')
    assert make_decoder(layout)(arrays, IDENTITY).class_ids.tolist() == [0, CLASSES - 1]


@pytest.mark.parametrize('form', ['dense', 'end_to_end'])
def test_an_empty_table_gives_an_empty_result_and_another_models_is_refused(form):
    rows = np.zeros((300, 4 + CLASSES + 15 if form == 'dense' else 21), np.float32)
    layout, arrays = table_layout(rows, form, 'pose')
    result = make_decoder(layout)(arrays, IDENTITY)
    assert result.keypoints.shape == (0, 5, 3)
    with pytest.raises(ModelError, match="'output0'"):
        make_decoder(layout)([arrays[0][:, :-1]], IDENTITY)


@pytest.mark.parametrize('form', ['dense', 'end_to_end'])
@pytest.mark.parametrize('poison', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('task', TASKS)
def test_no_nan_or_infinity_leaves_a_table(task, poison, form):
    _, _, levels, prototypes = raw_case(task)
    rows = dense_rows(levels, task) if form == 'dense' else end_to_end_rows(
        reference_decode(levels, 0.25, 0.7, prototypes, task=task), task)
    rng = np.random.default_rng(0)
    rows.reshape(-1)[rng.integers(0, rows.size, rows.size // 20)] = poison
    layout, arrays = table_layout(rows, form, task, prototypes)
    with np.errstate(all='ignore'):
        result = make_decoder(layout)(arrays, IDENTITY)
    for name in ('boxes', 'scores', 'keypoints', 'angles'):
        values = getattr(result, name)
        assert values is None or np.isfinite(values).all()
    assert ((result.scores >= 0) & (result.scores <= 1)).all()
