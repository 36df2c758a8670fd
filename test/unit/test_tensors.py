"""Stored numbers become real ones, and thresholds stored ones."""

from hypothesis import given, strategies as st
import numpy as np
import pytest

from rdk_yolo_ros.tensors import TensorInfo, dequantize, stored_threshold


def test_a_scale_that_does_not_fit_its_axis_is_refused():
    with pytest.raises(ValueError, match="'box'.*3 elements.*axis 3"):
        TensorInfo('box', (1, 2, 2, 4), np.int32, scale=[1, 2, 3], quantize_axis=3)


@pytest.mark.parametrize('scale', [0, -0.5, float('nan'), float('inf'), [0.5, 0], 1e-50])
def test_a_scale_that_scales_nothing_is_refused(scale):
    with pytest.raises(ValueError, match="'box': scale is .*expected finite numbers above 0"):
        TensorInfo('box', (1, 2, 2, 2), np.int8, scale=scale, quantize_axis=3)


@pytest.mark.parametrize('key', ['scale', 'zero_point'])
def test_scales_and_zero_points_are_one_dimensional(key):
    with pytest.raises(ValueError, match=f"'box': {key} has 4 elements"):
        TensorInfo('box', (1, 2, 2, 2), np.int8, quantize_axis=3, **{key: [[1, 2], [3, 4]]})


@pytest.mark.parametrize('aligned', [(1, 2, 2), (1, 2, 2, 2), (1, 1, 2, 4)])
def test_an_aligned_shape_holds_the_shape(aligned):
    with pytest.raises(ValueError, match="tensor 'box': the aligned shape .* does not hold"):
        TensorInfo('box', (1, 2, 2, 3), np.int8, aligned_shape=aligned)


def test_a_shape_has_no_negative_size():
    with pytest.raises(ValueError, match=r"tensor 'box' has shape \(1, -1\)"):
        TensorInfo('box', (1, -1), np.float32)


def test_dequantizing_follows_the_vendor_formula():
    info = TensorInfo('t', (1, 1, 1, 2), np.int8, scale=[0.5, 2.0], zero_point=[-3, 100],
                      quantize_axis=3)
    real = dequantize(np.array([[-128, 127]], np.int8), info)
    assert real.dtype == np.float32
    assert real.tolist() == [[(-128 + 3) * 0.5, (127 - 100) * 2.0]]


def test_an_extreme_int32_minus_its_zero_point_does_not_wrap():
    info = TensorInfo('t', (1, 1, 1, 1), np.int32, scale=1.0, zero_point=-10)
    real = dequantize(np.array([[2**31 - 1]], np.int32), info)
    assert real[0, 0] == np.float32(2**31 + 9)


@given(st.floats(-20, 20), st.floats(1e-5, 0.5), st.integers(-50, 50),
       st.integers(-2**31, 2**31 - 1))
def test_a_threshold_on_stored_numbers_selects_as_one_on_real_numbers(real, scale, zero, stored):
    scale = float(np.float32(scale))
    info = TensorInfo('t', (1, 1, 1, 1), np.int32, scale=scale, zero_point=zero)
    limit = stored_threshold(info, real)
    exact = (stored - zero) * scale
    if abs(exact - real) > 1e-6 * max(1, abs(exact)):  # float rounding decides closer ones
        assert (np.int32(stored) > limit) == (exact > real)


@pytest.mark.parametrize('dtype', [np.int8, np.uint8, np.int16, np.int32])
@pytest.mark.parametrize('shift', [0, 4, 7])
def test_a_threshold_on_every_kind_of_integer(dtype, shift):
    """Powers of two are exact, so that every stored number can be asked."""
    info = TensorInfo('t', (1, 1, 1, 1), dtype, scale=2.0 ** -shift, zero_point=3)
    limits = np.iinfo(dtype)
    low, high = max(limits.min, -300), min(limits.max, 300)
    for real in (-100.0, -1.5, -0.03, 0.0, 0.7, 30.0, 1e9, -1e9, np.inf, -np.inf):
        limit = stored_threshold(info, real)
        for stored in range(low, high + 1):
            assert (np.array(stored, dtype) > limit) == ((stored - 3) * 2.0 ** -shift > real)


@given(st.floats(-20, 20), st.floats(-20, 20, width=16))
def test_a_threshold_on_half_precision_is_not_rounded(real, value):
    for dtype in (np.float16, np.float32):
        limit = stored_threshold(TensorInfo('t', (1, 1, 1, 1), dtype), real)
        for stored in (dtype(value), dtype(real)):
            assert (np.array([stored]) > limit)[0] == (float(stored) > real)


def test_a_threshold_below_every_stored_number_lets_all_of_them_pass():
    for scale in (0.05, [0.05, 10.0]):
        info = TensorInfo('t', (1, 1, 1, 2), np.int8, scale=scale, quantize_axis=3)
        lowest = np.full((1, 2), -128, np.int8)
        assert (lowest > stored_threshold(info, -7.6))[0, 0]  # -128 * 0.05 = -6.4


def test_padding_is_cropped_without_a_copy():
    info = TensorInfo('t', (1, 2, 2, 3), np.int32, aligned_shape=(1, 2, 2, 4))
    stored = np.arange(16, dtype=np.int32)
    valid = info.valid(stored)
    assert valid.shape == (1, 2, 2, 3)
    assert valid[0, 1, 0].tolist() == [8, 9, 10]
    assert np.shares_memory(valid, stored)


@pytest.mark.parametrize('array', [np.zeros((1, 2, 2, 5), np.int32), np.zeros(12, np.int64)])
def test_an_array_that_is_not_the_tensor_is_refused(array):
    info = TensorInfo('t', (1, 2, 2, 3), np.int32, aligned_shape=(1, 2, 2, 4))
    with pytest.raises(ValueError, match="'t'"):
        info.valid(array)
