"""NV12, RGB and the two colour ranges, against the closed formulas of BT.601."""

import numpy as np
import pytest

from rdk_yolo_ros import colour

RANGES = ('full', 'limited')


def formula_yuv(rgb, color_range):
    """Return Y, U, V of RGB, float (..., 3), by the formulas of JFIF and BT.601."""
    red, green, blue = (rgb[..., i].astype(float) for i in range(3))
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    u = -0.168736 * red - 0.331264 * green + 0.5 * blue
    v = 0.5 * red - 0.418688 * green - 0.081312 * blue
    if color_range == 'limited':
        return np.stack((16 + y * 219 / 255, 128 + u * 224 / 255, 128 + v * 224 / 255), -1)
    return np.stack((y, 128 + u, 128 + v), -1)


def formula_rgb(yuv, color_range):
    """Return RGB of Y, U, V, float (..., 3), clipped to what 8 bits hold."""
    y, u, v = yuv[..., 0].astype(float), yuv[..., 1] - 128.0, yuv[..., 2] - 128.0
    if color_range == 'limited':
        y, u, v = (y - 16) * 255 / 219, u * 255 / 224, v * 255 / 224
    rgb = np.stack((y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u), -1)
    return np.clip(rgb, 0, 255)


def blocks(colours):
    """Return an image of 2x2 blocks, one a colour, uint8 (2, 2*n, 3): chroma mixes nothing."""
    return np.repeat(np.repeat(np.asarray(colours, np.uint8)[None], 2, 0), 2, 1)


def samples(nv12):
    """Return the Y, U, V of each 2x2 block of an NV12 image of blocks()."""
    return np.stack((nv12[0, ::2], nv12[2, ::2], nv12[2, 1::2]), -1)


GREYS = [(level,) * 3 for level in range(256)]
CORNERS = [(r, g, b) for r in (0, 255) for g in (0, 255) for b in (0, 255)]
RANDOM = np.random.default_rng(0).integers(0, 256, (2000, 3)).tolist()
COLOURS = np.array(GREYS + CORNERS + RANDOM, np.uint8)


@pytest.mark.parametrize('color_range', RANGES)
def test_bgr_to_nv12_follows_the_formula(color_range):
    """Within a level; limited range is rounded a second time, by the range table."""
    nv12 = colour.bgr_to_nv12(np.ascontiguousarray(blocks(COLOURS)[..., ::-1]), color_range)
    expected = np.clip(formula_yuv(COLOURS, color_range), 0, 255)
    assert np.abs(samples(nv12) - expected).max() <= (1.0 if color_range == 'full' else 1.25)


@pytest.mark.parametrize(('color_range', 'black', 'white'),
                         [('full', 0, 255), ('limited', 16, 235)])
def test_black_and_white_land_on_the_ends_of_the_range(color_range, black, white):
    """The mistake that this module is there to prevent is blacks at 16 in a full-range model."""
    nv12 = colour.bgr_to_nv12(blocks([(0, 0, 0), (255, 255, 255)]), color_range)
    np.testing.assert_array_equal(samples(nv12), [(black, 128, 128), (white, 128, 128)])


@pytest.mark.parametrize('color_range', RANGES)
def test_nv12_to_rgb_follows_the_formula_for_every_triple(color_range):
    """Triples that no RGB makes are included: a camera's noise produces them."""
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 5)] * 3, indexing='ij'), -1).reshape(-1, 3)
    nv12 = np.empty((3, 2 * len(grid)), np.uint8)
    nv12[:2] = np.repeat(grid[:, 0], 2)
    nv12[2, ::2], nv12[2, 1::2] = grid[:, 1], grid[:, 2]
    rgb = colour.nv12_to_rgb(nv12, color_range)
    assert rgb.shape == (2, 2 * len(grid), 3)
    # Limited: OpenCV clips Y below 16 before it adds chroma, the formula after.
    kept = grid[:, 0] >= 16 if color_range == 'limited' else np.full(len(grid), True)
    error = np.abs(rgb[0, ::2] - formula_rgb(grid, color_range))[kept]
    assert error.max() <= 2.0
    assert error.mean() < 0.6


@pytest.mark.parametrize('color_range', RANGES)
def test_bgr_is_rgb_reversed(color_range):
    """Both orders come from the same planes."""
    nv12 = np.random.default_rng(1).integers(0, 256, (96, 80), np.uint8)
    np.testing.assert_array_equal(colour.nv12_to_bgr(nv12, color_range),
                                  colour.nv12_to_rgb(nv12, color_range)[..., ::-1])


@pytest.mark.parametrize('color_range', RANGES)
@pytest.mark.parametrize('size', [(2, 2), (6, 4), (480, 640), (514, 642), (4, 100000)])
def test_chroma_is_replicated_over_its_four_pixels(color_range, size):
    """Sizes on both sides of the bands that the conversion works in."""
    height, width = size
    nv12 = np.random.default_rng(2).integers(16, 236, (height * 3 // 2, width), np.uint8)
    uv = np.repeat(np.repeat(nv12[height:].reshape(height // 2, width // 2, 2), 2, 0), 2, 1)
    expected = formula_rgb(np.dstack((nv12[:height], uv)), color_range)
    assert np.abs(colour.nv12_to_rgb(nv12, color_range) - expected).max() <= 2.0


def test_chroma_is_the_mean_of_its_four_pixels():
    """Not that of one of them, as OpenCV's own conversion to I420 takes it in some releases."""
    bgr = np.zeros((2, 2, 3), np.uint8)
    bgr[0, 0] = (200, 40, 80)
    nv12 = colour.bgr_to_nv12(bgr, 'full')
    u, v = formula_yuv(np.array([80, 40, 200]) / 4, 'full')[1:]
    assert abs(nv12[2, 0] - u) <= 1.0
    assert abs(nv12[2, 1] - v) <= 1.0


@pytest.mark.parametrize(('source', 'target'), [('full', 'limited'), ('limited', 'full')])
def test_range_conversion_is_the_rounded_formula(source, target):
    """Half a level at most, all 256 levels of Y and of chroma."""
    levels = np.arange(256)
    nv12 = np.tile(levels.astype(np.uint8), (3, 1))
    converted = colour.convert_range(nv12, source, target)
    if source == 'full':
        y, c = 16 + levels * 219 / 255, 128 + (levels - 128) * 224 / 255
    else:
        y, c = (levels - 16) * 255 / 219, 128 + (levels - 128) * 255 / 224
    assert np.abs(converted[:2] - np.clip(y, 0, 255)).max() <= 0.5
    assert np.abs(converted[2] - np.clip(c, 0, 255)).max() <= 0.5


def test_range_conversion_there_and_back_loses_a_level_at_most():
    """Limited range has fewer levels than full; the way back cannot restore them all."""
    nv12 = np.random.default_rng(3).integers(0, 256, (90, 64), np.uint8)
    there = colour.convert_range(nv12, 'full', 'limited')
    assert there[:60].min() >= 16
    assert there[:60].max() <= 235
    back = colour.convert_range(there, 'limited', 'full')
    assert np.abs(back.astype(int) - nv12).max() <= 1


def test_range_conversion_leaves_the_input_alone():
    """The input may be a camera message that others read."""
    nv12 = np.full((3, 4), 200, np.uint8)
    nv12.flags.writeable = False
    assert not np.shares_memory(colour.convert_range(nv12, 'full', 'full'), nv12)
    colour.convert_range(nv12, 'full', 'limited')
    assert (nv12 == 200).all()


@pytest.mark.parametrize('luma_first', [True, False])
@pytest.mark.parametrize('color_range', RANGES)
def test_packed_422_follows_the_formula(luma_first, color_range):
    """Two pixels share U and V; the order of the bytes is the encoding's."""
    random = np.random.default_rng(4)
    y = random.integers(16, 236, (6, 8), np.uint8)
    u, v = random.integers(16, 241, (2, 6, 4), np.uint8)
    order = (y[:, ::2], u, y[:, 1::2], v) if luma_first else (u, y[:, ::2], v, y[:, 1::2])
    packed = np.stack(order, -1).reshape(6, 8, 2)
    expected = formula_rgb(np.dstack((y, np.repeat(u, 2, 1), np.repeat(v, 2, 1))), color_range)
    bgr = colour.packed422_to_bgr(packed, luma_first, color_range)
    assert np.abs(bgr[..., ::-1] - expected).max() <= 2.0


@pytest.mark.parametrize('color_range', RANGES)
def test_grey_luma_reads_back_as_the_grey_it_was(color_range):
    """Padding must look the same to a model of either range."""
    nv12 = np.full((3, 2), 128, np.uint8)
    nv12[:2] = colour.grey_luma(114, color_range)
    assert np.abs(colour.nv12_to_rgb(nv12, color_range).astype(int) - 114).max() <= 1


@pytest.mark.parametrize(('out_hw', 'in_hw'), [((4, 6), (12, 18)), ((4, 6), (20, 18)),
                                           ((4, 6), (8, 12)), ((10, 6), (7, 30)),
                                           ((36, 64), (36, 64)), ((5, 7), (10, 21))])
@pytest.mark.parametrize('channels', [(), (2,), (3,)])
def test_resize_is_bilinear_with_aligned_centres(out_hw, in_hw, channels):
    """Against the definition, whichever of OpenCV's paths it takes."""
    pixels = np.random.default_rng(5).integers(0, 256, (*in_hw, *channels), np.uint8)
    expected = pixels.astype(float)
    for axis in (0, 1):
        size, count = in_hw[axis], out_hw[axis]
        place = np.clip((np.arange(count) + 0.5) * size / count - 0.5, 0, size - 1)
        low = np.minimum(place.astype(int), size - 1)
        weight = (place - low).reshape([-1 if i == axis else 1 for i in range(pixels.ndim)])
        expected = (np.take(expected, low, axis) * (1 - weight)
                    + np.take(expected, np.minimum(low + 1, size - 1), axis) * weight)
    out = np.empty((*out_hw, *channels), np.uint8)
    assert colour.resize(pixels, out) is out
    assert np.abs(out - expected).max() <= 1.0


@pytest.mark.parametrize('array', [np.zeros((4, 4), np.uint8), np.zeros((3, 3), np.uint8),
                                   np.zeros((3, 4), np.float32), np.zeros((3, 4, 1), np.uint8),
                                   np.zeros((0, 4), np.uint8)])
def test_what_is_no_nv12_array_is_refused(array):
    """The message says what was found and what was expected."""
    with pytest.raises(ValueError, match=r'expected uint8 \(h\*3/2, w\)'):
        colour.nv12_to_rgb(array, 'full')


@pytest.mark.parametrize('array', [np.zeros((3, 4, 3), np.uint8), np.zeros((4, 3, 3), np.uint8),
                                   np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.int32)])
def test_what_is_no_even_bgr_picture_is_refused(array):
    """Odd sizes have no NV12."""
    with pytest.raises(ValueError, match='even h and w'):
        colour.bgr_to_nv12(array, 'full')


def test_an_unknown_range_is_refused():
    """A typing error in a configuration must not pass for a range."""
    for call in (colour.nv12_to_rgb, colour.nv12_to_bgr):
        with pytest.raises(ValueError, match="'full' or 'limited'"):
            call(np.zeros((3, 2), np.uint8), 'video')
    with pytest.raises(ValueError, match="'full' or 'limited'"):
        colour.convert_range(np.zeros((3, 2), np.uint8), 'full', 'regular')
