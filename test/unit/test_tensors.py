"""Stored numbers become real ones, and thresholds stored ones."""

from hypothesis import given, strategies as st
import numpy as np
import pytest

from rdk_yolo_ros.tensors import TensorInfo, dequantize, stored_threshold


def test_a_scale_that_does_not_fit_its_axis_is_refused():
    with pytest.raises(ValueError, match="'box'.*3 elements.*axis 3"):
        TensorInfo('box', (1, 2, 2, 4), np.int32, scale=[1, 2, 3], quantize_axis=3)


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
