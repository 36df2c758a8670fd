"""Classification: the best classes of a whole image."""

import math

import numpy as np
import pytest

from rdk_yolo_ros.decode import DecodeOptions, make_decoder
from rdk_yolo_ros.detections import Classifications
from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.head_layout import HeadLayout, Table
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

IDENTITY = Letterbox.identity((224, 224))


def decode(values, shape=None, info=None, **options):
    """Decode numbers as a model's one output."""
    array = np.asarray(values)
    array = array.reshape(shape or (1, array.size))
    info = TensorInfo('output0', array.shape, array.dtype, **(info or {}))
    count = info.shape[1] if len(info.shape) == 2 else max(info.shape)
    layout = HeadLayout('classify', (224, 224), (), count, 1,
                        table=Table(0, info, 'classes', 1, count, True))
    return make_decoder(layout, DecodeOptions(**options))([array], IDENTITY)


def softmax(logits):
    weights = [math.exp(v) for v in logits]
    return np.array(weights) / sum(weights)


LOGITS = np.random.default_rng(0).normal(0, 2, 10).astype(np.float32)
ORDER = sorted(range(10), key=lambda i: -LOGITS[i])


@pytest.mark.parametrize('shape', [(1, 10), (1, 10, 1, 1), (1, 1, 1, 10)])
def test_logits_become_the_best_classes_of_a_softmax(shape):
    result = decode(LOGITS, shape)
    assert isinstance(result, Classifications)
    assert result.class_ids.tolist() == ORDER[:5]
    np.testing.assert_allclose(result.scores, softmax(LOGITS)[ORDER[:5]], atol=1e-6)


def test_probabilities_are_left_as_they_are():
    probabilities = softmax(LOGITS).astype(np.float32)
    result = decode(probabilities, top_k=3)
    np.testing.assert_array_equal(result.scores, np.sort(probabilities)[::-1][:3])


def test_the_option_goes_before_the_look():
    probabilities = softmax(LOGITS).astype(np.float32)
    twice = decode(probabilities, softmax=True, top_k=10)
    np.testing.assert_allclose(twice.scores, np.sort(softmax(probabilities))[::-1], atol=1e-6)
    plain = decode(LOGITS / 10 + 0.5, softmax=False, top_k=10)
    np.testing.assert_allclose(plain.scores, np.sort((LOGITS / 10 + 0.5).clip(0, 1))[::-1],
                               atol=1e-6)


@pytest.mark.parametrize('dtype', [np.int8, np.uint8, np.int32])
def test_quantized_numbers_come_to_the_same(dtype):
    zero = 100 if dtype == np.uint8 else 3
    stored = np.round(LOGITS / 0.06 + zero).astype(dtype)
    result = decode(stored, info={'scale': 0.06, 'zero_point': zero}, top_k=10)
    expected = softmax((stored.astype(float) - zero) * 0.06)
    np.testing.assert_allclose(result.scores, np.sort(expected)[::-1], atol=1e-5)


def test_quantized_probabilities_are_still_seen_as_such():
    stored = np.round(softmax(LOGITS) * 255).astype(np.uint8)
    result = decode(stored, info={'scale': 1 / 255}, top_k=1)
    np.testing.assert_allclose(result.scores, stored.max() / 255, atol=1e-6)


def test_half_precision_and_padding():
    padded = np.full((1, 16, 1, 1), 60, np.float16)
    padded[0, :10, 0, 0] = LOGITS
    info = TensorInfo('output0', (1, 10, 1, 1), np.float16, aligned_shape=(1, 16, 1, 1))
    layout = HeadLayout('classify', (224, 224), (), 10, 1,
                        table=Table(0, info, 'classes', 1, 10, True))
    result = make_decoder(layout)([padded], IDENTITY)
    assert result.class_ids.tolist() == ORDER[:5]


def test_large_logits_do_not_overflow():
    assert decode(np.array([3e4, 2e4, -3e4], np.float32)).scores.tolist() == [1, 0, 0]


def test_a_filter_of_classes_keeps_their_scores():
    result = decode(LOGITS, classes=(2, 5))
    assert sorted(result.class_ids.tolist()) == [2, 5]
    np.testing.assert_allclose(result.scores, softmax(LOGITS)[result.class_ids], atol=1e-6)


@pytest.mark.parametrize('poison', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('softmax_option', [None, True, False])
def test_what_is_no_number_has_no_place(poison, softmax_option):
    values = LOGITS.copy()
    values[[1, 4]] = poison
    result = decode(values, softmax=softmax_option, top_k=10)
    assert len(result) == 8
    assert np.isfinite(result.scores).all()
    assert not {1, 4} & set(result.class_ids.tolist())
    assert len(decode(np.full(5, poison, np.float32), softmax=softmax_option)) == 0


def test_another_models_tensor_is_refused():
    info = TensorInfo('output0', (1, 10), np.float32)
    layout = HeadLayout('classify', (224, 224), (), 10, 1,
                        table=Table(0, info, 'classes', 1, 10, True))
    with pytest.raises(ModelError, match="'output0'"):
        make_decoder(layout)([np.zeros((1, 9), np.float32)], IDENTITY)
