"""Types of heads: integers, half precision, padding; and what decoding costs in memory."""

import tracemalloc

from head_tensors import EXTRA_ROLES, as_outputs, layout_of, levels_by_role, planted_heads
import numpy as np
import pytest
from reference_decoder import reference_decode
from test_decode_rules import assert_same

from rdk_yolo_ros.decode import DecodeOptions, cells, make_decoder
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

HW = (192, 320)
IDENTITY = Letterbox.identity(HW)


def stored_case(task, dtype, per_channel, channels_last):
    """Return layout, arrays with every head of `dtype`, and the reference's view of the same."""
    rng = np.random.default_rng(2)
    heads = planted_heads(rng, task, HW, 4, 12, num_keypoints=5)
    order = list(heads)
    infos, arrays, real = [], [], {}
    limits = np.iinfo(dtype)
    lowest, steps = max(limits.min, -25000), min(limits.max - limits.min, 50000)
    for number, place in enumerate(order):
        axes = (0, 1) if per_channel else None
        low, high = (function(heads[place].astype(np.float64), axis=axes)
                     for function in (np.min, np.max))
        scale = (np.maximum(high - low, 1e-3) / steps).astype(np.float32)
        zero = np.round(lowest - low / scale)
        stored = np.round(heads[place] / scale + zero).clip(lowest, lowest + steps).astype(dtype)
        real[place] = (stored.astype(np.float64) - zero) * scale.astype(np.float64)
        array = stored[None] if channels_last else stored.transpose(2, 0, 1)[None]
        infos.append(TensorInfo(f'out{number}', array.shape, dtype, scale=scale,
                                zero_point=zero, quantize_axis=3 if channels_last else 1))
        arrays.append(np.ascontiguousarray(array))
    layout = layout_of(infos, order, HW, task, channels_last)
    role = EXTRA_ROLES[task]
    levels = [(s, real['class', s], real['box', s], real[role, s]) for s in layout.strides]
    return layout, arrays, levels, real.get(('prototypes', 4))


@pytest.mark.parametrize('channels_last', [True, False], ids=['NHWC', 'NCHW'])
@pytest.mark.parametrize('per_channel', [True, False], ids=['channel', 'tensor'])
@pytest.mark.parametrize('dtype', [np.int8, np.uint8, np.int16, np.int32])
@pytest.mark.parametrize('task', ['segment', 'pose', 'obb'])
def test_integers_decode_as_the_numbers_that_they_stand_for(task, dtype, per_channel,
                                                            channels_last):
    layout, arrays, levels, prototypes = stored_case(task, dtype, per_channel, channels_last)
    expected = reference_decode(levels, 0.25, 0.7, prototypes, task=task)
    ours = make_decoder(layout)(arrays, IDENTITY)
    if dtype in (np.int8, np.uint8):  # coarse scores tie, and ties have no order
        assert_same_set(ours, expected)
    else:
        assert_same(ours, expected)


def assert_same_set(ours, expected):
    assert len(ours) == len(expected) > 3
    Detections(**vars(ours))  # the constructor's checks, which a decoder skips
    boxes = np.array([e['rotated'][:4] for e in expected]) if ours.angles is not None \
        else np.array([e['box'] for e in expected]).clip(0, [HW[1], HW[0]] * 2)
    found = ours.boxes
    if ours.angles is not None:
        found = np.concatenate([(found[:, :2] + found[:, 2:]) / 2, found[:, 2:] - found[:, :2]],
                               1)
    found = np.column_stack([found, ours.scores, ours.class_ids])
    wanted = np.column_stack([boxes, [e['score'] for e in expected],
                              [e['class_id'] for e in expected]])
    far = np.abs(found[:, None] - wanted).max(axis=2)
    assert (far.min(axis=0) < 0.01).all()
    assert (far.min(axis=1) < 0.01).all()


@pytest.mark.parametrize('shift', [4, 7])
def test_a_power_of_two_shift_is_a_scale(shift):
    rng = np.random.default_rng(5)
    heads = planted_heads(rng, 'pose', HW, 2, 12, num_keypoints=5)
    stored = {place: np.round(real * 2.0 ** shift).clip(-32768, 32767).astype(np.int16)
              for place, real in heads.items()}
    order = list(heads)
    infos, arrays = as_outputs(stored, order)
    infos = [TensorInfo(i.name, i.shape, i.dtype, scale=2.0 ** -shift) for i in infos]
    levels, _ = levels_by_role(infos, arrays, order, 'keypoints')
    assert_same(make_decoder(layout_of(infos, order, HW, 'pose'))(arrays, IDENTITY),
                reference_decode(levels, 0.25, 0.7))


@pytest.mark.parametrize('threshold', [0.25, 0.3, 0.61, 0.7])
def test_half_precision_keeps_exactly_what_passes_the_threshold(threshold):
    heads = {(role, s): np.zeros((HW[0] // s, HW[1] // s, c), np.float16)
             for s in (8, 16, 32) for role, c in (('class', 1), ('box', 4))}
    # All half-precision logits near the threshold's.
    logit = np.log(threshold / (1 - threshold))
    near = np.float16(logit) + np.arange(-10, 11) * np.float16(2 ** -10)
    heads['class', 8][...] = -20
    heads['class', 16][...] = -20
    heads['class', 32][...] = -20
    heads['class', 8][0, :21, 0] = near
    order = list(heads)
    infos, arrays = as_outputs(heads, order)
    ours = make_decoder(layout_of(infos, order, HW, 'detect', nms=False),
                        DecodeOptions(score_threshold=threshold))(arrays, IDENTITY)
    assert 0 < len(ours) < 21
    assert len(ours) == (near.astype(np.float64) > logit).sum()


def test_half_precision_agrees_with_the_reference():
    rng = np.random.default_rng(9)
    heads = {place: real.astype(np.float16) for place, real in
             planted_heads(rng, 'pose', HW, 3, 12, num_keypoints=5).items()}
    order = list(heads)
    infos, arrays = as_outputs(heads, order)
    levels, _ = levels_by_role(infos, arrays, order, 'keypoints')
    assert_same(make_decoder(layout_of(infos, order, HW, 'pose'))(arrays, IDENTITY),
                reference_decode(levels, 0.25, 0.7))


def padded(infos, arrays, channels_last, fill, flat=False):
    """Return the outputs in memory that is aligned in channels (8), width (16) and height (4)."""
    new_infos, new_arrays = [], []
    for info, array in zip(infos, arrays):
        steps = (1, 4, 16, 8) if channels_last else (1, 8, 4, 16)
        aligned = tuple(-(-n // step) * step for n, step in zip(info.shape, steps))
        wide = np.full(aligned, fill, array.dtype)
        wide[tuple(slice(n) for n in info.shape)] = array
        new_arrays.append(wide.reshape(-1) if flat else wide)
        new_infos.append(TensorInfo(info.name, info.shape, info.dtype, scale=info.scale,
                                    quantize_axis=info.quantize_axis, aligned_shape=aligned))
    return new_infos, new_arrays


@pytest.mark.parametrize('form', ['aligned', 'flat', 'cropped'])
@pytest.mark.parametrize('channels_last', [True, False], ids=['NHWC', 'NCHW'])
@pytest.mark.parametrize('task', ['segment', 'pose', 'obb'])
def test_padding_changes_nothing_whatever_it_holds(task, channels_last, form):
    hw = (160, 224)
    rng = np.random.default_rng(4)
    heads = planted_heads(rng, task, hw, 3, 12, num_keypoints=5)
    order = list(heads)
    infos, arrays = as_outputs(heads, order, ('box', EXTRA_ROLES[task]), channels_last, rng)
    plain = make_decoder(layout_of(infos, order, hw, task, channels_last))(
        arrays, Letterbox.identity(hw))
    # A fill that passes every threshold.
    infos, wide = padded(infos, arrays, channels_last, 77, form == 'flat')
    if form == 'cropped':
        wide = [a[tuple(slice(n) for n in i.shape)] for i, a in zip(infos, wide)]
    ours = make_decoder(layout_of(infos, order, hw, task, channels_last))(
        wide, Letterbox.identity(hw))
    assert len(ours) > 3
    for name in ('boxes', 'scores', 'class_ids', 'keypoints', 'angles'):
        np.testing.assert_array_equal(getattr(ours, name), getattr(plain, name))
    if task == 'segment':
        np.testing.assert_array_equal(ours.masks.to_label_image(*hw),
                                      plain.masks.to_label_image(*hw))


# What decoding costs

def full_size_case(task, objects=50, quantize=False, channels_last=True, class_num=None,
                   **layout):
    rng = np.random.default_rng(12)
    class_num = class_num or (1 if task == 'pose' else 80)
    heads = planted_heads(rng, task, class_num=class_num, objects=objects)
    order = list(heads)
    roles = ('class', 'box', EXTRA_ROLES[task]) if quantize else ()
    infos, arrays = as_outputs(heads, order, roles, channels_last, rng)
    return infos, arrays, order, layout_of(infos, order, (640, 640), task, channels_last,
                                           **layout)


@pytest.mark.parametrize('channels_last', [True, False], ids=['NHWC', 'NCHW'])
@pytest.mark.parametrize('task', ['detect', 'segment', 'pose', 'obb'])
def test_only_candidates_are_dequantized(monkeypatch, task, channels_last):
    _, arrays, _, layout = full_size_case(task, quantize=True, channels_last=channels_last)
    seen = []

    def counting(stored, info):
        seen.append(stored.size)
        return real(stored, info)

    real = cells.dequantize
    monkeypatch.setattr(cells, 'dequantize', counting)
    decoder = make_decoder(layout)
    found = decoder._finder.find(arrays, extras=True)
    level = layout.levels[0]
    channels = sum(head.channels for head in (level.class_head, level.box_head, level.extra)
                   if head is not None)
    assert len(found) >= 50
    assert sum(seen) == len(found) * channels


def test_only_candidates_of_a_table_are_dequantized(monkeypatch):
    from test_decode_tables import table_layout
    rows = np.zeros((1260, 10), np.float32)
    rows[[3, 700], 5] = 100
    rows[[3, 700], :4] = [[50, 50, 20, 20], [90, 90, 20, 20]]
    layout, arrays = table_layout(rows, 'dense', 'detect', stored=rows.astype(np.int16),
                                  scale=[0.01])
    seen = []
    real = cells.dequantize
    monkeypatch.setattr(cells, 'dequantize',
                        lambda stored, info: seen.append(stored.size) or real(stored, info))
    assert len(make_decoder(layout)(arrays, IDENTITY)) == 2
    assert sum(seen) == 2 * 10


def peak_memory(function):
    """Return the bytes that a second call takes at the most."""
    function()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize('channels_last', [True, False], ids=['NHWC', 'NCHW'])
@pytest.mark.parametrize('quantize', [False, True], ids=['float', 'int32'])
@pytest.mark.parametrize(('task', 'family', 'limit'), [
    ('detect', {}, 2e6), ('detect', {'nms': False}, 2e6), ('pose', {}, 2e6), ('obb', {}, 2e6),
    ('segment', {}, 8e6)], ids=str)
def test_a_frame_takes_little_memory(task, family, limit, quantize, channels_last):
    _, arrays, _, layout = full_size_case(task, 50, quantize, channels_last, **family)
    decoder, letterbox = make_decoder(layout), Letterbox.fit((1080, 1920), (640, 640))
    assert len(decoder(arrays, letterbox)) >= 45
    assert peak_memory(lambda: decoder(arrays, letterbox)) < limit


@pytest.mark.parametrize('channels_last', [True, False], ids=['NHWC', 'NCHW'])
def test_padded_heads_take_no_more_memory(channels_last):
    infos, arrays, order, _ = full_size_case('pose', channels_last=channels_last)
    infos, wide = padded(infos, arrays, channels_last, -50)
    layout = layout_of(infos, order, (640, 640), 'pose', channels_last)
    letterbox = Letterbox.identity((640, 640))
    decoder = make_decoder(layout)
    assert len(decoder(wide, letterbox)) >= 45
    # A copy of the widest head alone would be 6400 * 64 * 4 bytes.
    assert peak_memory(lambda: decoder(wide, letterbox)) < 0.5e6


@pytest.mark.parametrize('rows_first', [False, True])
def test_a_dense_table_is_not_copied(rows_first):
    from test_decode_tables import table_layout
    rows = np.zeros((8400, 4 + 6 + 51), np.float32)
    rows[::200, 6] = 0.9
    rows[:, :4] = np.arange(8400)[:, None] % 160 + [0, 0, 20, 20]
    layout, arrays = table_layout(rows, 'dense', 'detect', rows_first=rows_first)
    decoder = make_decoder(layout)
    assert len(decoder(arrays, IDENTITY)) > 3
    assert peak_memory(lambda: decoder(arrays, IDENTITY)) < 0.3e6 < rows.nbytes
