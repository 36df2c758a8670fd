"""What holds of decoding whatever the numbers are."""

from head_tensors import as_outputs, layout_of, planted_heads
import numpy as np
import pytest

pytest.importorskip('hypothesis')
from hypothesis import assume, given, settings, strategies as st  # noqa: E402

from rdk_yolo_ros.decode import DecodeOptions, make_decoder  # noqa: E402
from rdk_yolo_ros.decode.nms import non_maximum_suppression  # noqa: E402
from rdk_yolo_ros.decode.rotated_nms import rotated_suppression  # noqa: E402
from rdk_yolo_ros.detections import Classifications  # noqa: E402
from rdk_yolo_ros.errors import ModelError  # noqa: E402
from rdk_yolo_ros.head_layout import Head, HeadLayout, Table  # noqa: E402
from rdk_yolo_ros.heads import identify_heads  # noqa: E402
from rdk_yolo_ros.letterbox import Letterbox  # noqa: E402
from rdk_yolo_ros.tensors import TensorInfo  # noqa: E402

HW = (96, 128)
IDENTITY = Letterbox.identity(HW)
TASKS = ('detect', 'segment', 'pose', 'obb')
# Rules, bins, whether instances repeat themselves.
FAMILIES = (('v8', 16, True), ('v8', 16, False), ('yolo26', 1, False))
SEEDS = st.integers(0, 2**32 - 1)
QUICK = settings(max_examples=40, deadline=None)


def heads_of(seed, task, family=FAMILIES[0], objects=6, class_num=4):
    rng = np.random.default_rng(seed)
    return planted_heads(rng, task, HW, class_num, objects, family[1], num_keypoints=3)


def layout_for(infos, order, task, family=FAMILIES[0]):
    return layout_of(infos, order, HW, task, rules=family[0], nms=family[2])


def assert_equal(one, other):
    for name in ('boxes', 'scores', 'class_ids', 'keypoints', 'angles'):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert (one.masks is None) == (other.masks is None)
    if one.masks is not None:
        np.testing.assert_array_equal(one.masks.to_label_image(*HW),
                                      other.masks.to_label_image(*HW))


@QUICK
@given(SEEDS, st.sampled_from(TASKS), st.sampled_from(FAMILIES), st.randoms())
def test_the_order_of_the_outputs_does_not_matter(seed, task, family, random):
    heads = heads_of(seed, task, family)
    order = list(heads)
    infos, arrays = as_outputs(heads, order)
    shuffled = order[:]
    random.shuffle(shuffled)
    shuffled_infos, shuffled_arrays = as_outputs(heads, shuffled)
    assert_equal(make_decoder(layout_for(infos, order, task, family))(arrays, IDENTITY),
                 make_decoder(layout_for(shuffled_infos, shuffled, task, family))(
                     shuffled_arrays, IDENTITY))


@QUICK
@given(SEEDS, st.sampled_from(TASKS), st.randoms())
def test_recognition_finds_the_same_in_any_order(seed, task, random):
    heads = heads_of(seed, task)
    order = list(heads)
    infos, arrays = as_outputs(heads, order)
    random.shuffle(order)
    shuffled_infos, shuffled_arrays = as_outputs(heads, order)
    known = {'task': task, 'class_num': 4, 'reg_max': 16,
             'num_keypoints': 3 if task == 'pose' else None}
    plain, mixed = (make_decoder(identify_heads(i, HW, **known))(a, IDENTITY)
                    for i, a in ((infos, arrays), (shuffled_infos, shuffled_arrays)))
    assert_equal(plain, mixed)


@QUICK
@given(st.integers(16, 3000), st.integers(16, 3000), st.sampled_from([(640, 640), (384, 640)]),
       SEEDS)
def test_a_letterbox_and_back_is_the_same_place(height, width, model_hw, seed):
    assume(max(height / width, width / height) < 20)
    letterbox = Letterbox.fit((height, width), model_hw)
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 1, (20, 2)) * [width, height]
    model = points * [letterbox.scale_x, letterbox.scale_y] + [letterbox.left, letterbox.top]
    model = model.astype(np.float32)
    assert np.abs(letterbox.points_to_source(model) - points).max() < 0.5
    boxes = np.concatenate([np.minimum(model[:10], model[10:]), np.maximum(model[:10],
                                                                           model[10:])], 1)
    expected = np.concatenate([np.minimum(points[:10], points[10:]),
                               np.maximum(points[:10], points[10:])], 1)
    assert np.abs(letterbox.boxes_to_source(boxes) - expected).max() < 0.5
    rotated, _ = letterbox.rotated_boxes_to_source(boxes, np.zeros(10, np.float32))
    assert np.abs(rotated - expected).max() < 0.5


@QUICK
@given(SEEDS, st.integers(0, 60), st.sampled_from([0.0, 0.3, 0.7]), st.booleans())
def test_suppressing_twice_is_suppressing_once(seed, count, threshold, rotated):
    rng = np.random.default_rng(seed)
    centres, sizes = rng.uniform(0, 200, (count, 2)), rng.uniform(5, 90, (count, 2))
    groups, scores = rng.integers(0, 3, count), rng.random(count).astype(np.float32)
    if rotated:
        boxes = np.concatenate([centres, sizes, rng.uniform(-1, 2, (count, 1))], 1)
        suppress = rotated_suppression
    else:
        boxes = np.concatenate([centres, centres + sizes], 1)
        suppress = non_maximum_suppression
    boxes = boxes.astype(np.float32)
    once = suppress(boxes, scores, groups, threshold, 300)
    again = suppress(boxes[once], scores[once], groups[once], threshold, 300)
    assert again.tolist() == list(range(len(once)))


@QUICK
@given(SEEDS, st.sampled_from(TASKS), st.sampled_from(FAMILIES), st.floats(0.05, 0.9),
       st.floats(0.0, 0.5))
def test_a_higher_threshold_keeps_what_scores_more(seed, task, family, low, more):
    heads = heads_of(seed, task, family, objects=12)
    order = list(heads)
    infos, arrays = as_outputs(heads, order)
    layout = layout_for(infos, order, task, family)
    high = min(low + more, 1.0)
    few, many = (make_decoder(layout, DecodeOptions(score_threshold=t))(arrays, IDENTITY)
                 for t in (high, low))
    # With suppression, too: what scores less cannot suppress what scores more.
    kept = many[many.scores > high]
    assert len(kept) == len(few)
    for name in ('boxes', 'scores', 'class_ids', 'keypoints', 'angles'):
        np.testing.assert_array_equal(getattr(few, name), getattr(kept, name))


@QUICK
@given(SEEDS, st.sampled_from(TASKS), st.integers(-3, 3))
def test_a_quantized_head_of_twice_the_scale_holds_half_the_numbers(seed, task, power):
    # Powers of two, so that nothing is rounded: stored * scale is what counts, not the two.
    heads = heads_of(seed, task)
    order = list(heads)
    results = []
    for factor in (1.0, 2.0 ** power):
        stored = {place: (np.round(real * 256) * 8 * factor).astype(np.int32)
                  for place, real in heads.items()}
        infos, arrays = as_outputs(stored, order)
        infos = [TensorInfo(i.name, i.shape, i.dtype, scale=1 / 2048 / factor) for i in infos]
        results.append(make_decoder(layout_for(infos, order, task))(arrays, IDENTITY))
    assert len(results[0]) > 0
    assert_equal(*results)


# Arbitrary tensors

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e-30, 300.0, -300.0, 1e19, -1e30, 3e38, -3e38,
                           np.nan, np.inf, -np.inf])


def arbitrary(rng, shape, dtype, favourites):
    """Return numbers of any size, with the favourites all over the place."""
    if np.dtype(dtype).kind in 'iu':
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, endpoint=True, dtype=dtype)
    with np.errstate(over='ignore'):
        values = (rng.normal(0, 1, shape) * 10.0 ** rng.uniform(-2, 3, shape)).astype(dtype)
        chosen = rng.random(shape) < rng.choice([0, 0.01, 0.3])
        values[chosen] = rng.choice(favourites, chosen.sum()).astype(dtype)
    return values


def arbitrary_tensor(rng, name, shape, dtype, favourites):
    scale = rng.choice([1e-6, 0.01, 1, 1e6]) if np.dtype(dtype).kind in 'iu' else None
    info = TensorInfo(name, shape, dtype, scale=scale,
                      zero_point=None if scale is None else rng.integers(-2**31, 2**31 - 1))
    return info, arbitrary(rng, shape, dtype, favourites)


def assert_sane(result, task, layout):
    assert ((result.scores >= 0) & (result.scores <= 1)).all()
    assert (np.diff(result.scores) <= 0).all()
    assert ((result.class_ids >= 0) & (result.class_ids < layout.class_num)).all()
    if isinstance(result, Classifications):
        return
    for name in ('boxes', 'keypoints', 'angles'):
        values = getattr(result, name)
        assert values is None or np.isfinite(values).all()
    assert (result.keypoints is not None) == (task == 'pose')
    assert (result.angles is not None) == (task == 'obb')
    if task == 'segment':
        labels = result.masks.to_label_image(60, 100)
        assert labels.max(initial=0) <= len(result)
        if len(result):
            assert result.masks.full(0).dtype == bool


DTYPES = st.sampled_from(['float32', 'float16', 'int8', 'uint8', 'int16', 'int32'])
OPTIONS = st.builds(DecodeOptions, score_threshold=st.sampled_from([0.0, 0.25, 1.0]),
                    nms_threshold=st.sampled_from([0.0, 0.7, 1.0]),
                    max_detections=st.sampled_from([1, 300]), class_agnostic=st.booleans(),
                    native_masks=st.booleans(),
                    score_thresholds=st.sampled_from([None, {0: 0.0, 1: 0.9}]))


@pytest.mark.filterwarnings('ignore::RuntimeWarning')
@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from(TASKS), st.sampled_from(FAMILIES), DTYPES, OPTIONS,
       st.lists(NUMBERS, min_size=1), st.booleans())
def test_arbitrary_heads_give_sane_results(seed, task, family, dtype, options, favourites, wide):
    rng = np.random.default_rng(seed)
    order = list(heads_of(0, task, family, objects=0))
    shapes = {place: (1, *head.shape) for place, head in heads_of(0, task, family, 0).items()}
    made = [arbitrary_tensor(rng, f'out{n}', shapes[place], dtype, favourites)
            for n, place in enumerate(order)]
    layout = layout_for([info for info, _ in made], order, task, family)
    letterbox = Letterbox.fit((77, 333), HW) if wide else IDENTITY
    result = make_decoder(layout, options)([array for _, array in made], letterbox)
    assert_sane(result, task, layout)


@pytest.mark.filterwarnings('ignore::RuntimeWarning')
@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from((*TASKS, 'classify')), st.booleans(), st.booleans(), DTYPES,
       OPTIONS, st.lists(NUMBERS, min_size=1))
def test_arbitrary_tables_give_sane_results(seed, task, dense, rows_first, dtype, options,
                                            favourites):
    rng = np.random.default_rng(seed)
    extra = {'segment': 8, 'pose': 9, 'obb': 1}.get(task, 0)
    form, rows, columns = ('classes', 1, 4) if task == 'classify' else (
        ('dense', 252, 8 + extra) if dense else ('end_to_end', 50, 6 + extra))
    shape = (1, 4) if task == 'classify' else (
        (1, rows, columns) if rows_first else (1, columns, rows))
    info, array = arbitrary_tensor(rng, 'output0', shape, dtype, favourites)
    arrays, prototypes = [array], None
    if task == 'segment':
        heads = {('prototypes', 4): np.zeros((24, 32, 8), np.float32)}
        infos, more = as_outputs(heads, list(heads))
        prototypes = Head(1, infos[0], (24, 32), 8, True)
        arrays.append(arbitrary(rng, more[0].shape, np.float32, favourites))
    layout = HeadLayout(task, HW, (), 4, 1, 3 if task == 'pose' else 0, prototypes,
                        nms=dense, table=Table(0, info, form, rows, columns, rows_first))
    assert_sane(make_decoder(layout, options)(arrays, IDENTITY), task, layout)


@QUICK
@given(SEEDS, st.sampled_from(TASKS), st.data())
def test_other_tensors_than_the_layouts_are_refused(seed, task, data):
    heads = heads_of(seed, task)
    order = list(heads)
    infos, arrays = as_outputs(heads, order)
    decoder = make_decoder(layout_for(infos, order, task))
    which = data.draw(st.integers(0, len(arrays) - 1))
    shape = data.draw(st.lists(st.integers(0, 9), max_size=5))
    wrong = np.zeros(shape, data.draw(DTYPES))
    assume(wrong.size != arrays[which].size or wrong.dtype != arrays[which].dtype)
    with pytest.raises(ModelError, match=f"'out{which}'"):
        decoder([*arrays[:which], wrong, *arrays[which + 1:]], IDENTITY)
