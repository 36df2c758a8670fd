"""What decoders are given by whoever uses them as a library: odd numbers, strides, geometries."""

import tracemalloc

from head_tensors import SEED_ORDERS, SEED_TASKS, STRIDES, as_outputs, planted_heads
import numpy as np
import pytest

from rdk_yolo_ros.decode import DecodeOptions, make_decoder, mask_painting
from rdk_yolo_ros.errors import HeadError, ModelError
from rdk_yolo_ros.heads import identify_heads
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

IDENTITY = Letterbox.identity((640, 640))


def outputs(task, order, seed=4, **figures):
    heads = planted_heads(np.random.default_rng(seed), task, **figures)
    return as_outputs(heads, SEED_ORDERS[order])


# Options

@pytest.mark.parametrize('threshold', [0, 1, np.float32(0.3), np.float64(0.3)])
def test_a_threshold_may_be_any_kind_of_number(threshold):
    table = np.zeros((1, 300, 6), np.float32)
    table[0, :2] = [[10, 10, 50, 50, 0.9, 1], [10, 10, 50, 50, 0.2, 2]]
    layout = identify_heads([TensorInfo('output0', table.shape, table.dtype)], (640, 640),
                            task='detect', class_num=80)
    found = make_decoder(layout, DecodeOptions(score_threshold=threshold))([table], IDENTITY)
    assert found.scores.tolist() == [s for s in table[0, :2, 4].tolist() if s > threshold]
    infos, arrays = outputs('detect', 'yolo12-detect')
    layout = identify_heads(infos, (640, 640))
    scores = make_decoder(layout, DecodeOptions(score_threshold=threshold))(
        arrays, IDENTITY).scores
    assert (scores > threshold).all()
    assert len(scores) > 0 or threshold == 1


@pytest.mark.parametrize('extras', [True, False])
@pytest.mark.parametrize('order', SEED_TASKS)
def test_scores_of_nothing_are_no_instances_even_without_a_threshold(order, extras):
    infos, arrays = outputs(SEED_TASKS[order], order)
    layout = identify_heads(infos, (640, 640))
    for level in layout.levels:
        arrays[level.class_head.index].fill(-200)  # a score of 1e-87, which float32 does not have
    found = make_decoder(layout, DecodeOptions(score_threshold=0))(arrays, IDENTITY, extras)
    assert len(found) == 0
    assert (found.keypoints is not None) == (extras and layout.task == 'pose')


def test_whole_numbers_may_come_as_floats():
    infos, arrays = outputs('detect', 'yolo12-detect')
    options = DecodeOptions(max_detections=3.0, nms_top_k=np.int64(50))
    assert (options.max_detections, options.nms_top_k) == (3, 50)
    assert type(options.max_detections) is int
    assert len(make_decoder(identify_heads(infos, (640, 640)), options)(arrays, IDENTITY)) == 3


@pytest.mark.parametrize(('key', 'value'), [
    ('max_detections', float('inf')), ('max_detections', float('nan')), ('max_detections', '3'),
    ('top_k', True), ('score_threshold', '0.3'), ('nms_threshold', None)])
def test_what_is_no_number_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=key):
        DecodeOptions(**{key: value})


# Geometry

@pytest.mark.parametrize(('task', 'order'), [('pose', 'yolo11-pose'), ('detect', 'yolo12-detect')])
def test_one_decoder_serves_images_of_any_size_in_any_order(task, order):
    infos, arrays = outputs(task, order)
    layout = identify_heads(infos, (640, 640))
    decoder = make_decoder(layout)
    plain = decoder(arrays, IDENTITY)
    for source in ((480, 640), (1080, 1920), (480, 640), (640, 640)):
        letterbox = Letterbox.fit(source, (640, 640))
        found = decoder(arrays, letterbox)
        fresh = make_decoder(layout)(arrays, letterbox)
        np.testing.assert_array_equal(found.boxes, fresh.boxes)
        if task == 'pose':
            np.testing.assert_array_equal(found.keypoints, fresh.keypoints)
            np.testing.assert_allclose(
                found.keypoints, letterbox.points_to_source(plain.keypoints), atol=1e-3)


def test_a_new_size_of_image_costs_a_pose_decoder_no_memory():
    infos, arrays = outputs('pose', 'yolo11-pose')
    decoder = make_decoder(identify_heads(infos, (640, 640)))
    decoder(arrays, IDENTITY)
    tracemalloc.start()
    try:
        decoder(arrays, Letterbox.fit((480, 640), (640, 640)))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


# Tensors

@pytest.mark.parametrize('channels_last', [True, False])
def test_tensors_may_lie_backwards_in_memory(channels_last):
    heads = planted_heads(np.random.default_rng(3), 'detect', (192, 256))
    order = [(role, s) for s in STRIDES for role in ('class', 'box')]
    infos, arrays = as_outputs(heads, order, channels_last=channels_last)
    layout = identify_heads(infos, (192, 256), class_num=80)
    box = Letterbox.identity((192, 256))
    plain = make_decoder(layout)(arrays, box)
    assert len(plain) > 0
    flip = (slice(None), slice(None, None, -1), slice(None, None, -1)) if channels_last \
        else (slice(None), slice(None), slice(None, None, -1), slice(None, None, -1))
    flipped = make_decoder(layout)([a[flip].copy()[flip] for a in arrays], box)
    np.testing.assert_array_equal(flipped.boxes, plain.boxes)
    np.testing.assert_array_equal(flipped.class_ids, plain.class_ids)


@pytest.mark.parametrize('dtype', [np.float32, np.float16, np.float64])
def test_prototypes_of_any_float_serve_many_instances(dtype):
    infos, arrays = outputs('segment', 'yolov8-seg-cn', objects=40)
    plain = make_decoder(identify_heads(infos, (640, 640)))(arrays, IDENTITY)
    arrays[-1] = arrays[-1].astype(np.float16).astype(dtype)
    infos[-1] = TensorInfo('prototypes', infos[-1].shape, dtype)
    found = make_decoder(identify_heads(infos, (640, 640)))(arrays, IDENTITY)
    assert len(found) == len(plain) > 30
    assert (found.masks.to_label_image(640, 640)
            == plain.masks.to_label_image(640, 640)).mean() > 0.999


def test_a_zero_point_without_a_scale_means_nothing():
    infos, arrays = outputs('segment', 'yolov8-seg-cn')
    plain = make_decoder(identify_heads(infos, (640, 640)))(arrays, IDENTITY)
    infos[-1] = TensorInfo('prototypes', infos[-1].shape, infos[-1].dtype, zero_point=[3])
    found = make_decoder(identify_heads(infos, (640, 640)))(arrays, IDENTITY)
    np.testing.assert_array_equal(found.masks.to_label_image(640, 640),
                                  plain.masks.to_label_image(640, 640))


def test_integers_without_a_scale_are_refused_by_the_decoder():
    infos, _ = outputs('detect', 'yolo12-detect')
    infos[0] = TensorInfo('scores', infos[0].shape, np.int8)
    with pytest.raises(HeadError, match="'scores' is int8 and has no scale"):
        make_decoder(identify_heads(infos, (640, 640)))


def test_scales_along_another_axis_are_refused_by_the_decoder():
    infos, _ = outputs('detect', 'yolo12-detect')
    infos[0] = TensorInfo('scores', infos[0].shape, np.int8, scale=np.full(80, 0.1),
                          quantize_axis=1)
    with pytest.raises(HeadError, match="'scores' run along axis 1.*expected its channels"):
        make_decoder(identify_heads(infos, (640, 640)))


def test_another_model_s_prototypes_are_refused_on_an_empty_picture():
    infos, arrays = outputs('segment', 'yolov8-seg-cn', objects=0)
    decoder = make_decoder(identify_heads(infos, (640, 640)))
    assert len(decoder(arrays, IDENTITY)) == 0
    arrays[-1] = arrays[-1][:, :80]
    with pytest.raises(ModelError, match='out9'):
        decoder(arrays, IDENTITY)


# Masks

@pytest.mark.parametrize('source', [(640, 640), (1080, 1920), (400, 500)])
def test_bands_of_a_large_mask_meet_without_a_seam(monkeypatch, source):
    infos, arrays = outputs('segment', 'yolov8-seg-cn')
    decoder = make_decoder(identify_heads(infos, (640, 640)), DecodeOptions(native_masks=True))
    found = decoder(arrays, Letterbox.fit(source, (640, 640)))
    whole = found.masks.to_label_image(*source)
    assert whole.any()
    monkeypatch.setattr(mask_painting, '_BAND_PIXELS', 1)
    np.testing.assert_array_equal(found.masks.to_label_image(*source), whole)
    np.testing.assert_array_equal(found.masks.full(0) & (whole == 1), whole == 1)


@pytest.mark.parametrize('native', [True, False])
def test_large_masks_of_a_large_image_take_little_memory(native):
    heads = planted_heads(np.random.default_rng(1), 'segment', objects=0)
    for cell in range(20):  # each fills the picture
        heads['class', 32][cell, 10, cell] = 3
        heads['box', 32][cell, 10] = np.where(np.arange(64) % 16 == 15, 9, -9)
        heads['coefficients', 32][cell, 10] = np.random.default_rng(cell).normal(0, 0.5, 32)
    infos, arrays = as_outputs(heads, SEED_ORDERS['yolov8-seg-cn'])
    decoder = make_decoder(identify_heads(infos, (640, 640)), DecodeOptions(native_masks=native))
    letterbox = Letterbox.fit((1080, 1920), (640, 640))
    assert len(decoder(arrays, letterbox)) == 20
    tracemalloc.start()
    try:
        decoder(arrays, letterbox).masks.to_label_image(1080, 1920)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
