"""Decoding agrees with a slow decoder written from the formulas, for every order and type."""

from head_tensors import SEED_ORDERS, SEED_TASKS, as_outputs, levels_by_role, planted_heads
import numpy as np
import pytest
from reference_decoder import reference_decode

from rdk_yolo_ros.decode import DecodeOptions, make_decoder
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.letterbox import Letterbox

EXTRA = {'pose': 'keypoints', 'segment': 'coefficients', 'detect': None}


def assert_same(ours, expected, input_hw):
    assert len(expected) > 3, 'the heads hold too few objects to prove anything'
    assert len(ours) == len(expected)
    height, width = input_hw
    boxes = np.array([e['box'] for e in expected]).clip(0, [width, height] * 2)
    np.testing.assert_allclose(ours.boxes, boxes, atol=0.01)
    np.testing.assert_allclose(ours.scores, [e['score'] for e in expected], atol=1e-5)
    assert ours.class_ids.tolist() == [e['class_id'] for e in expected]
    if 'keypoints' in expected[0]:
        points = np.array([e['keypoints'] for e in expected])
        np.testing.assert_allclose(ours.keypoints[..., :2], points[..., :2], atol=0.01)
        np.testing.assert_allclose(ours.keypoints[..., 2], points[..., 2], atol=1e-5)
    for i, e in enumerate(expected):
        if 'mask' in e and e['mask'].any():
            mask = ours.masks.full(i)
            assert (mask & e['mask']).sum() / (mask | e['mask']).sum() > 0.999


CASES = [(name, quantize, channels_last)
         for name in SEED_ORDERS for quantize in (False, True) for channels_last in (True, False)]


@pytest.mark.parametrize(('name', 'quantize', 'channels_last'), CASES)
def test_agrees_with_the_reference(name, quantize, channels_last):
    task = SEED_TASKS[name]
    roles = ('box', 'coefficients') if quantize else ()
    rng = np.random.default_rng(7)
    class_num = 1 if task == 'pose' else 80
    heads = planted_heads(rng, task, class_num=class_num)
    infos, arrays = as_outputs(heads, SEED_ORDERS[name], roles, channels_last, rng)
    layout = identify_heads(infos, (640, 640))
    ours = make_decoder(layout, DecodeOptions())(arrays, Letterbox.identity((640, 640)))
    stored = [a if channels_last else a.transpose(0, 2, 3, 1) for a in arrays]
    levels, prototypes = levels_by_role(infos, stored, SEED_ORDERS[name], EXTRA[task])
    expected = reference_decode(levels, 0.25, 0.7, prototypes)
    assert_same(ours, expected, (640, 640))


@pytest.mark.parametrize('roles', [('class',), ('class', 'box', 'keypoints')])
def test_quantized_class_heads_and_key_points_agree_too(roles):
    rng = np.random.default_rng(3)
    order = SEED_ORDERS['yolo11-pose']
    heads = planted_heads(rng, 'pose', class_num=4)
    infos, arrays = as_outputs(heads, order, roles, rng=rng)
    layout = identify_heads(infos, (640, 640), class_num=4, num_keypoints=17)
    ours = make_decoder(layout, DecodeOptions())(arrays, Letterbox.identity((640, 640)))
    levels, _ = levels_by_role(infos, arrays, order, 'keypoints')
    assert_same(ours, reference_decode(levels, 0.25, 0.7), (640, 640))


def test_a_non_square_input_agrees():
    order = SEED_ORDERS['yolov8-seg-en']
    rng = np.random.default_rng(11)
    infos, arrays = as_outputs(planted_heads(rng, 'segment', (384, 640)), order)
    layout = identify_heads(infos, (384, 640))
    ours = make_decoder(layout)(arrays, Letterbox.identity((384, 640)))
    levels, prototypes = levels_by_role(infos, arrays, order, 'coefficients')
    assert_same(ours, reference_decode(levels, 0.25, 0.7, prototypes), (384, 640))


def detect_case(seed=5, **heads_arguments):
    order = SEED_ORDERS['yolo12-detect']
    heads = planted_heads(np.random.default_rng(seed), 'detect', **heads_arguments)
    infos, arrays = as_outputs(heads, order)
    return identify_heads(infos, (640, 640)), arrays


IDENTITY = Letterbox.identity((640, 640))


def test_boxes_are_mapped_back_to_the_source_image():
    layout, arrays = detect_case()
    letterbox = Letterbox.fit((1080, 1920), (640, 640))
    plain = make_decoder(layout)(arrays, IDENTITY)
    mapped = make_decoder(layout)(arrays, letterbox)
    # 1920 wide to 640: a third, with 140 rows of padding above 360 rows of picture.
    expected = ((plain.boxes - [0, 140, 0, 140]) * 3).clip(0, [1920, 1080] * 2)
    inside = (plain.boxes > 0).all(1) & (plain.boxes < 640).all(1)
    np.testing.assert_allclose(mapped.boxes[inside], expected[inside], atol=1e-3)


def test_empty_heads_give_an_empty_result():
    layout, arrays = detect_case(objects=0)
    result = make_decoder(layout)(arrays, IDENTITY)
    assert len(result) == 0
    assert result.boxes.shape == (0, 4)


@pytest.mark.parametrize('name', ['yolo11-pose', 'yolov8-seg-cn'])
def test_an_empty_result_has_its_tasks_attributes(name):
    task = SEED_TASKS[name]
    infos, arrays = as_outputs(
        planted_heads(np.random.default_rng(0), task, objects=0, class_num=2), SEED_ORDERS[name])
    layout = identify_heads(infos, (640, 640), class_num=2)
    result = make_decoder(layout)(arrays, IDENTITY)
    assert len(result) == 0
    if task == 'pose':
        assert result.keypoints.shape == (0, 17, 3)
    else:
        assert not result.masks.to_label_image(640, 640).any()


def test_scores_fall_and_a_higher_threshold_keeps_a_prefix():
    layout, arrays = detect_case(objects=40)
    low = make_decoder(layout, DecodeOptions(score_threshold=0.3))(arrays, IDENTITY)
    high = make_decoder(layout, DecodeOptions(score_threshold=0.95))(arrays, IDENTITY)
    assert (np.diff(low.scores) <= 0).all()
    assert 0 < len(high) < len(low)
    np.testing.assert_array_equal(high.boxes, low.boxes[:len(high)])


def test_limits_keep_the_best():
    layout, arrays = detect_case(objects=40)
    everything = make_decoder(layout)(arrays, IDENTITY)
    for limit in ({'max_detections': 5}, {'nms_top_k': 5}):
        few = make_decoder(layout, DecodeOptions(**limit))(arrays, IDENTITY)
        np.testing.assert_array_equal(few.boxes, everything.boxes[:5])


def test_a_class_filter_keeps_those_classes_only():
    layout, arrays = detect_case(objects=40, class_num=5)
    everything = make_decoder(layout)(arrays, IDENTITY)
    some = make_decoder(layout, DecodeOptions(classes=(1, 3)))(arrays, IDENTITY)
    wanted = np.isin(everything.class_ids, (1, 3))
    assert 0 < wanted.sum() < len(wanted)
    np.testing.assert_array_equal(some.boxes, everything.boxes[wanted])


def test_class_agnostic_suppression_lets_the_better_class_win():
    layout, arrays = detect_case(objects=0, class_num=3)
    head, box = layout.levels[2].class_head.index, layout.levels[2].box_head.index
    arrays[box][0, 10, 10] = arrays[box][0, 10, 11] = np.tile(
        np.where(np.arange(16) == 3, 20, 0), 4)
    arrays[box][0, 10, 11] = np.concatenate(
        [np.where(np.arange(16) == k, 20, 0) for k in (4, 3, 2, 3)])
    arrays[head][0, 10, 10, 0] = 2
    arrays[head][0, 10, 11, 1] = 1
    aware = make_decoder(layout)(arrays, IDENTITY)
    agnostic = make_decoder(layout, DecodeOptions(class_agnostic=True))(arrays, IDENTITY)
    assert aware.class_ids.tolist() == [0, 1]
    assert agnostic.class_ids.tolist() == [0]


@pytest.mark.parametrize('poison', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('name', ['yolo11-pose', 'yolov8-seg-cn', 'yolo12-detect'])
def test_no_nan_or_infinity_leaves(name, poison):
    task = SEED_TASKS[name]
    rng = np.random.default_rng(1)
    infos, arrays = as_outputs(planted_heads(rng, task, class_num=7), SEED_ORDERS[name])
    layout = identify_heads(infos, (640, 640), class_num=7)
    for array in arrays:
        flat = array.reshape(-1)
        flat[rng.integers(0, flat.size, flat.size // 50)] = poison
    with np.errstate(all='ignore'):
        result = make_decoder(layout)(arrays, IDENTITY)
    assert np.isfinite(result.boxes).all()
    assert np.isfinite(result.scores).all()
    if task == 'pose':
        assert np.isfinite(result.keypoints).all()
    if task == 'segment':
        result.masks.to_label_image(640, 640)


def test_tensors_of_another_model_are_refused_by_name():
    layout, arrays = detect_case()
    with pytest.raises(ModelError, match="'out1'.*expected"):
        make_decoder(layout)([arrays[0], arrays[3], *arrays[2:]], IDENTITY)
    with pytest.raises(ModelError, match='5 tensors'):
        make_decoder(layout)(arrays[:5], IDENTITY)


def test_without_extras_masks_are_not_made():
    infos, arrays = as_outputs(planted_heads(np.random.default_rng(2), 'segment'),
                               SEED_ORDERS['yolov8-seg-cn'])
    decoder = make_decoder(identify_heads(infos, (640, 640)))
    assert decoder(arrays, IDENTITY, extras=False).masks is None
    assert decoder(arrays, IDENTITY).masks is not None


def test_padded_outputs_give_the_same_result():
    from rdk_yolo_ros.tensors import TensorInfo
    order = SEED_ORDERS['yolo11-pose']
    rng = np.random.default_rng(4)
    heads = planted_heads(rng, 'pose', class_num=1)
    infos, arrays = as_outputs(heads, order, ('keypoints',), rng=rng)
    padded_infos, padded = [], []
    for info, array in zip(infos, arrays):
        aligned = (*info.shape[:3], -(-info.shape[3] // 8) * 8)
        wide = np.full(aligned, 77, array.dtype)
        wide[..., :info.shape[3]] = array
        padded.append(wide)
        padded_infos.append(TensorInfo(info.name, info.shape, info.dtype, scale=info.scale,
                                       quantize_axis=info.quantize_axis, aligned_shape=aligned))
    plain = make_decoder(identify_heads(infos, (640, 640)))(arrays, IDENTITY)
    cropped = make_decoder(identify_heads(padded_infos, (640, 640)))(padded, IDENTITY)
    np.testing.assert_array_equal(plain.boxes, cropped.boxes)
    np.testing.assert_array_equal(plain.keypoints, cropped.keypoints)


@pytest.mark.parametrize(('key', 'value'), [
    ('score_threshold', float('nan')), ('score_threshold', 1.5), ('nms_threshold', -0.1),
    ('max_detections', 0), ('nms_top_k', 2.5), ('classes', (-1,))])
def test_options_out_of_range_are_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        DecodeOptions(**{key: value})


def test_masks_are_of_the_input_unless_the_source_is_asked_for():
    infos, arrays = as_outputs(planted_heads(np.random.default_rng(2), 'segment'),
                               SEED_ORDERS['yolov8-seg-cn'])
    layout = identify_heads(infos, (640, 640))
    letterbox = Letterbox.fit((1280, 1280), (640, 640))
    coarse = make_decoder(layout)(arrays, letterbox)
    fine = make_decoder(layout, DecodeOptions(native_masks=True))(arrays, letterbox)
    identity = make_decoder(layout)(arrays, IDENTITY)
    for i in range(len(identity)):
        doubled = np.kron(identity.masks.full(i), np.ones((2, 2), bool))
        np.testing.assert_array_equal(coarse.masks.full(i), doubled)
    assert any((coarse.masks.full(i) != fine.masks.full(i)).any() for i in range(len(fine)))


@pytest.mark.parametrize('poison', [np.nan, np.inf, -np.inf])
def test_an_instance_whose_coefficients_are_no_numbers_has_an_empty_mask(poison):
    infos, arrays = as_outputs(planted_heads(np.random.default_rng(2), 'segment'),
                               SEED_ORDERS['yolov8-seg-cn'])
    layout = identify_heads(infos, (640, 640))
    before = make_decoder(layout)(arrays, IDENTITY)
    assert any(before.masks.full(i).any() for i in range(len(before)))
    for level in layout.levels:
        arrays[level.extra.index][..., 5] = poison
    after = make_decoder(layout)(arrays, IDENTITY)
    np.testing.assert_array_equal(after.boxes, before.boxes)
    assert not after.masks.to_label_image(640, 640).any()
