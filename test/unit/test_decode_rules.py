"""Each family's rules agree with the slow decoder: YOLOv10, YOLO26, OBB, short key points."""

from head_tensors import EXTRA_ROLES, as_outputs, layout_of, levels_by_role, planted_heads
import numpy as np
import pytest
from reference_decoder import reference_decode

from rdk_yolo_ros.decode import DecodeOptions, make_decoder
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.letterbox import Letterbox

# Family: (rules, bins, whether instances repeat themselves).
FAMILIES = {'v8': ('v8', 16, True), 'v10': ('v8', 16, False), 'yolo26': ('yolo26', 1, False),
            'no DFL': ('v8', 1, True), 'few bins': ('v8', 8, True)}
HW = (192, 320)


def case(family, task, seed=1, quantize=(), channels_last=True, dims=3, objects=14, **heads):
    """Return layout, arrays and the reference's levels and prototypes."""
    rules, reg_max, nms = FAMILIES[family]
    rng = np.random.default_rng(seed)
    planted = planted_heads(rng, task, HW, heads.pop('class_num', 6), objects, reg_max,
                            num_keypoints=5, keypoint_dims=dims, **heads)
    order = list(planted)
    rng.shuffle(order)
    order = [(role, int(stride)) for role, stride in order]
    infos, arrays = as_outputs(planted, order, quantize, channels_last, rng)
    layout = layout_of(infos, order, HW, task, channels_last, rules=rules, nms=nms,
                       keypoint_dims=dims)
    stored = [a if channels_last else a.transpose(0, 2, 3, 1) for a in arrays]
    levels, prototypes = levels_by_role(infos, stored, order, EXTRA_ROLES[task])
    return layout, arrays, levels, prototypes


def assert_same(ours, expected):
    assert len(expected) > 3, 'the heads hold too few objects to prove anything'
    Detections(**vars(ours))  # the constructor's checks, which a decoder skips
    assert ours.class_ids.tolist() == [e['class_id'] for e in expected]
    np.testing.assert_allclose(ours.scores, [e['score'] for e in expected], atol=1e-5)
    if 'rotated' in expected[0]:
        rotated = np.array([e['rotated'] for e in expected])
        np.testing.assert_allclose((ours.boxes[:, :2] + ours.boxes[:, 2:]) / 2, rotated[:, :2],
                                   atol=0.01)
        np.testing.assert_allclose(ours.boxes[:, 2:] - ours.boxes[:, :2], rotated[:, 2:4],
                                   atol=0.01)
        np.testing.assert_allclose(ours.angles, rotated[:, 4], atol=1e-4)
    else:
        boxes = np.array([e['box'] for e in expected]).clip(0, [HW[1], HW[0]] * 2)
        np.testing.assert_allclose(ours.boxes, boxes, atol=0.01)
    if 'keypoints' in expected[0]:
        np.testing.assert_allclose(ours.keypoints, [e['keypoints'] for e in expected], atol=0.01)
    for i, e in enumerate(expected):
        if 'mask' in e and e['mask'].any():
            mask = ours.masks.full(i)
            assert (mask & e['mask']).sum() / (mask | e['mask']).sum() > 0.999


@pytest.mark.parametrize('channels_last', [True, False], ids=['NHWC', 'NCHW'])
@pytest.mark.parametrize('task', ['detect', 'segment', 'pose', 'obb'])
@pytest.mark.parametrize('family', FAMILIES)
def test_agrees_with_the_reference(family, task, channels_last):
    layout, arrays, levels, prototypes = case(family, task, channels_last=channels_last)
    expected = reference_decode(levels, 0.25, 0.7, prototypes, task=task, rules=layout.rules,
                                nms=layout.nms)
    assert_same(make_decoder(layout)(arrays, Letterbox.identity(HW)), expected)


@pytest.mark.parametrize(('family', 'task'), [('yolo26', 'pose'), ('v8', 'obb'),
                                              ('yolo26', 'segment'), ('v10', 'detect')])
def test_quantized_heads_agree_too(family, task):
    roles = ('class', 'box', EXTRA_ROLES[task])
    layout, arrays, levels, prototypes = case(family, task, quantize=roles)
    expected = reference_decode(levels, 0.25, 0.7, prototypes, task=task, rules=layout.rules,
                                nms=layout.nms)
    assert_same(make_decoder(layout)(arrays, Letterbox.identity(HW)), expected)


@pytest.mark.parametrize('family', ['v8', 'yolo26'])
def test_key_points_of_two_values_are_certain(family):
    layout, arrays, levels, _ = case(family, 'pose', dims=2)
    expected = reference_decode(levels, 0.25, 0.7, task='pose', rules=layout.rules, dims=2,
                                nms=layout.nms)
    ours = make_decoder(layout)(arrays, Letterbox.identity(HW))
    assert_same(ours, expected)
    assert (ours.keypoints[..., 2] == 1).all()


def test_other_strides_agree():
    layout, arrays, levels, prototypes = case('v8', 'detect', strides=(4, 8, 16, 32, 64))
    assert layout.strides == (4, 8, 16, 32, 64)
    assert_same(make_decoder(layout)(arrays, Letterbox.identity(HW)),
                reference_decode(levels, 0.25, 0.7))


def crowded(limit_family='v10'):
    """Heads with many more pairs above the threshold than a small limit lets through."""
    rng = np.random.default_rng(8)
    layout, arrays, levels, _ = case(limit_family, 'detect', objects=0, class_num=4)
    for level, (_, classes, *_) in zip(layout.levels, levels):
        logits = rng.normal(-1.5, 2, classes.shape).astype(np.float32)
        arrays[level.class_head.index][0] = logits
        classes[:] = logits
    return layout, arrays, levels


@pytest.mark.parametrize('limit', [1, 7, 40, 300, 900])
def test_without_suppression_the_best_pairs_of_the_best_anchors_stay(limit):
    layout, arrays, levels = crowded()
    expected = reference_decode(levels, 0.25, 0.7, nms=False, max_detections=limit)
    ours = make_decoder(layout, DecodeOptions(max_detections=limit))(
        arrays, Letterbox.identity(HW))
    assert len(ours) == limit
    assert_same_pairs(ours, expected)
    if limit == 300:
        assert len({e['place'] for e in expected}) < limit, 'no anchor came with two classes'


def assert_same_pairs(ours, expected):
    assert ours.class_ids.tolist() == [e['class_id'] for e in expected]
    np.testing.assert_allclose(ours.scores, [e['score'] for e in expected], atol=1e-5)


@pytest.mark.parametrize('limit', [20, 300])
def test_without_suppression_a_filter_of_classes_comes_after_the_selection(limit):
    layout, arrays, levels = crowded()
    expected = [e for e in reference_decode(levels, 0.25, 0.7, nms=False) if e['class_id'] == 2]
    assert 20 < len(expected) < 300
    options = DecodeOptions(max_detections=limit, classes=(2,))
    ours = make_decoder(layout, options)(arrays, Letterbox.identity(HW))
    # Ultralytics selects 300 at least, then filters, then keeps max_detections.
    assert_same_pairs(ours, expected[:limit])


def test_without_suppression_class_agnostic_means_the_best_class_alone():
    layout, arrays, levels = crowded()
    expected = reference_decode(levels, 0.25, 1.0)  # nothing overlaps by more than 1
    ours = make_decoder(layout, DecodeOptions(class_agnostic=True))(
        arrays, Letterbox.identity(HW))
    assert_same_pairs(ours, expected[:300])


@pytest.mark.parametrize('family', ['v8', 'v10'])
def test_a_class_may_have_a_threshold_of_its_own(family):
    layout, arrays, levels = crowded(family)
    options = DecodeOptions(score_threshold=0.5, score_thresholds={1: 0.1, 3: 0.95},
                            max_detections=2000, nms_threshold=1.0)
    ours = make_decoder(layout, options)(arrays, Letterbox.identity(HW))
    everything = reference_decode(levels, 0.1, 1.0, nms=layout.nms, max_detections=5000)
    wanted = [e for e in everything
              if e['score'] > {1: 0.1, 3: 0.95}.get(e['class_id'], 0.5)]
    assert {e['class_id'] for e in wanted} == {0, 1, 2, 3}
    assert_same_pairs(ours, wanted)


def test_a_threshold_for_a_class_that_the_model_lacks_is_refused():
    layout, *_ = case('v8', 'detect')
    with pytest.raises(ValueError, match='class 6, expected class ids below 6'):
        make_decoder(layout, DecodeOptions(score_thresholds={6: 0.5}))


@pytest.mark.parametrize('thresholds', [{-1: 0.5}, {0: 1.5}, {0: float('nan')}])
def test_thresholds_out_of_range_are_refused_by_name(thresholds):
    with pytest.raises(ValueError, match='score_thresholds'):
        DecodeOptions(score_thresholds=thresholds)
