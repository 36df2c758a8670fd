"""
NV12 to RGB and back, in full range (JFIF) and in limited range (BT.601 video).

NV12 is a Y plane (h, w) above an interleaved U V plane (h/2, w): one uint8 array (h*3/2, w).
Full range uses 0..255 for all three and is what an MJPEG camera delivers and what the board's
compiler assumes (`input_space_and_range: regular`). Limited range has Y in 16..235 and U, V in
16..240 (`bt601_video`). Both use the luma weights of ITU-R BT.601: 0.299, 0.587, 0.114.

OpenCV's own NV12 and I420 conversions are limited range only, so full range goes through its
YCrCb conversion, which is JFIF. Chroma is replicated on the way to RGB in both ranges, as OpenCV
does it, and averaged over its 2x2 pixels on the way back.
"""

from __future__ import annotations

import cv2
import numpy as np

COLOR_RANGES = ('full', 'limited')

# U and V of no colour at all, in both ranges.
NEUTRAL_CHROMA = 128

_BAND_PIXELS = 128 * 640


def check_range(color_range: str) -> str:
    """Return `color_range`, or raise ValueError where it is not one of COLOR_RANGES."""
    if color_range not in COLOR_RANGES:
        raise ValueError(f"colour range is {color_range!r}, expected 'full' or 'limited'")
    return color_range


def split_nv12(nv12: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """
    Return views on the planes of an NV12 array: Y (h, w) and UV (h/2, w/2, 2).

    Raises:
        ValueError: `nv12` is not uint8 (h*3/2, w) with h and w even and each row contiguous.

    """
    if nv12.dtype != np.uint8 or nv12.ndim != 2 or nv12.size == 0 \
            or nv12.shape[0] % 3 or nv12.shape[1] % 2:
        raise ValueError(f'NV12 array is {nv12.dtype} {nv12.shape}, expected uint8 (h*3/2, w) '
                         'with even h and w')
    height, width = nv12.shape[0] // 3 * 2, nv12.shape[1]
    if nv12.strides[1] != 1:
        raise ValueError(f'NV12 array has strides {nv12.strides}, expected rows of adjacent bytes')
    # Splitting the last axis of a view with padded rows needs no copy.
    return nv12[:height], nv12[height:].reshape(height // 2, width // 2, 2)


def convert_planes(y: np.ndarray, uv: np.ndarray, source: str, target: str) -> None:
    """Convert the planes of an NV12 image from the range `source` to `target`, in place."""
    if check_range(source) == check_range(target):
        return
    cv2.LUT(y, _TABLES[source, False], dst=y)
    cv2.LUT(uv, _TABLES[source, True], dst=uv)


def convert_range(nv12: np.ndarray, source: str, target: str) -> np.ndarray:
    """
    Return a copy of an NV12 image, uint8 (h*3/2, w), moved from one colour range to the other.

    Y' = 16 + Y * 219 / 255 and C' = 128 + (C - 128) * 224 / 255 towards 'limited', the inverse
    towards 'full', rounded; what limited range cannot hold (below 16, above 235 or 240) is
    clipped.

    Raises:
        ValueError: `nv12` is no NV12 array, or a range is not one of COLOR_RANGES.

    """
    split_nv12(nv12)
    converted = nv12.copy()
    convert_planes(*split_nv12(converted), source, target)
    return converted


def nv12_to_rgb(nv12: np.ndarray, color_range: str) -> np.ndarray:
    """
    Return an NV12 image, uint8 (h*3/2, w), as RGB, uint8 (h, w, 3).

    Raises:
        ValueError: `nv12` is no NV12 array, or the range is not one of COLOR_RANGES.

    """
    return planes_to_rgb(*split_nv12(nv12), color_range)


def nv12_to_bgr(nv12: np.ndarray, color_range: str) -> np.ndarray:
    """
    Return an NV12 image, uint8 (h*3/2, w), as BGR, uint8 (h, w, 3).

    Raises:
        ValueError: `nv12` is no NV12 array, or the range is not one of COLOR_RANGES.

    """
    return planes_to_bgr(*split_nv12(nv12), color_range)


def planes_to_rgb(y: np.ndarray, uv: np.ndarray, color_range: str) -> np.ndarray:
    """Return planes Y (h, w) and UV (h/2, w/2, 2) as RGB, uint8 (h, w, 3)."""
    if check_range(color_range) == 'limited':
        return cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2RGB_NV12)
    return _from_full_planes(y, uv, cv2.COLOR_YCrCb2RGB)


def planes_to_bgr(y: np.ndarray, uv: np.ndarray, color_range: str) -> np.ndarray:
    """Return planes Y (h, w) and UV (h/2, w/2, 2) as BGR, uint8 (h, w, 3)."""
    if check_range(color_range) == 'limited':
        return cv2.cvtColorTwoPlane(y, uv, cv2.COLOR_YUV2BGR_NV12)
    return _from_full_planes(y, uv, cv2.COLOR_YCrCb2BGR)


def bgr_to_nv12(bgr: np.ndarray, color_range: str) -> np.ndarray:
    """
    Return a BGR image, uint8 (h, w, 3) with h and w even, as NV12, uint8 (h*3/2, w).

    Raises:
        ValueError: `bgr` has another type or shape, or the range is not one of COLOR_RANGES.

    """
    if bgr.dtype != np.uint8 or bgr.ndim != 3 or bgr.shape[2] != 3 or bgr.size == 0 \
            or bgr.shape[0] % 2 or bgr.shape[1] % 2:
        raise ValueError(f'BGR array is {bgr.dtype} {bgr.shape}, expected uint8 (h, w, 3) with '
                         'even h and w')
    height, width = bgr.shape[:2]
    nv12 = np.empty((height * 3 // 2, width), np.uint8)
    bgr_to_planes(bgr, *split_nv12(nv12), color_range)
    return nv12


def bgr_to_planes(pixels: np.ndarray, y: np.ndarray, uv: np.ndarray, color_range: str,
                  rgb: bool = False) -> None:
    """
    Write BGR (RGB where `rgb`), uint8 (any h, any w, 3), resized, into an NV12 image's planes.

    y: uint8 (h, w) and uv: uint8 (h/2, w/2, 2) are written in place, in `color_range`.
    """
    check_range(color_range)
    if pixels.shape[:2] != y.shape:
        # Before the conversion, which then has the fewer pixels to do where the image shrinks.
        pixels = resize(pixels, np.empty((*y.shape, 3), np.uint8))
    # OpenCV's grey has the weights of BT.601 and no offset: it is full-range Y.
    cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY if rgb else cv2.COLOR_BGR2GRAY, dst=y)
    # Averaging before the conversion is the same as after it, as that is linear, and a quarter
    # of the work.
    half = cv2.resize(pixels, (uv.shape[1], uv.shape[0]), interpolation=cv2.INTER_AREA)
    ycrcb = cv2.cvtColor(half, cv2.COLOR_RGB2YCrCb if rgb else cv2.COLOR_BGR2YCrCb)
    cv2.mixChannels([ycrcb], [uv], [2, 0, 1, 1])
    convert_planes(y, uv, 'full', color_range)


def packed422_to_planes(packed: np.ndarray, luma_first: bool, y: np.ndarray,
                        uv: np.ndarray) -> None:
    """
    Write YUYV (`luma_first`) or UYVY, uint8 (any h, even w, 2), resized, into NV12 planes.

    y: uint8 (h, w) and uv: uint8 (h/2, w/2, 2) are written in place, in the range of `packed`.
    """
    luma = 0 if luma_first else 1
    height, width = packed.shape[:2]
    # Both channels are resized and one is thrown away: several times as fast as taking the luma
    # out of the whole image first.
    both = resize(packed, np.empty((*y.shape, 2), np.uint8))
    cv2.mixChannels([both], [y], [luma, 0])
    pairs = packed.reshape(height, width // 2, 4)
    quads = resize(pairs, np.empty((*uv.shape[:2], 4), np.uint8))
    cv2.mixChannels([quads], [uv], [1 - luma, 0, 3 - luma, 1])


def resize(pixels: np.ndarray, out: np.ndarray) -> np.ndarray:
    """
    Resize `pixels`, uint8 (h, w) or (h, w, c), bilinearly to the size of `out`; return `out`.

    Pixel centres stay aligned, as in cv2.INTER_LINEAR, which Ultralytics' letterbox uses.
    """
    (height, width), (out_height, out_width) = pixels.shape[:2], out.shape[:2]
    interpolation = cv2.INTER_LINEAR
    if (height, width) == (out_height, out_width):
        np.copyto(out, pixels)
        return out
    if _is_odd_multiple(height, out_height) and _is_odd_multiple(width, out_width):
        # Every centre falls on a source pixel's centre (1920 to 640 is one of these), where
        # bilinear gives that pixel and picking it is twice as fast.
        interpolation = cv2.INTER_NEAREST_EXACT
    elif pixels.shape[2:] == (2,) and (height, width) == (2 * out_height, 2 * out_width):
        # OpenCV has no fast path for halving two channels; this differs by a rounding.
        interpolation = cv2.INTER_LINEAR_EXACT
    cv2.resize(pixels, (out_width, out_height), dst=out, interpolation=interpolation)
    return out


def packed422_to_bgr(packed: np.ndarray, luma_first: bool, color_range: str) -> np.ndarray:
    """
    Return YUYV (`luma_first`) or UYVY, uint8 (h, w, 2) with w even, as BGR, uint8 (h, w, 3).

    Raises:
        ValueError: the range is not one of COLOR_RANGES.

    """
    if check_range(color_range) == 'limited':
        return cv2.cvtColor(packed, cv2.COLOR_YUV2BGR_YUY2 if luma_first
                            else cv2.COLOR_YUV2BGR_UYVY)
    height, width = packed.shape[:2]
    luma = 0 if luma_first else 1
    chroma = np.repeat(packed[..., 1 - luma].reshape(height, width // 2, 2), 2, axis=1)
    ycrcb = cv2.merge((cv2.extractChannel(packed, luma), chroma[..., 1], chroma[..., 0]))
    return cv2.cvtColor(ycrcb, cv2.COLOR_YCrCb2BGR)


def grey_luma(rgb_level: int, color_range: str) -> int:
    """Return the Y of a grey whose R, G and B are `rgb_level`, 0..255."""
    if check_range(color_range) == 'full':
        return rgb_level
    return int(_TABLES['full', False][rgb_level])


def _is_odd_multiple(whole: int, part: int) -> bool:
    return whole % part == 0 and whole // part % 2 == 1


def _from_full_planes(y: np.ndarray, uv: np.ndarray, conversion: int) -> np.ndarray:
    """Return full-range planes as three channels, uint8 (h, w, 3), by an OpenCV conversion."""
    height, width = y.shape
    pixels = np.empty((height, width, 3), np.uint8)
    # In bands, so that the temporaries stay in the cache and in memory that the allocator keeps:
    # for a whole 640x640 image the page faults cost more than the conversion does.
    rows = max(_BAND_PIXELS // width // 2 * 2, 2)
    for top in range(0, height, rows):
        band = slice(top, min(top + rows, height))
        size = (width, band.stop - top)
        # Two split planes and a merge are several times as fast as one mixChannels.
        u, v = cv2.split(uv[top // 2:band.stop // 2])
        ycrcb = cv2.merge((y[band], cv2.resize(v, size, interpolation=cv2.INTER_NEAREST),
                           cv2.resize(u, size, interpolation=cv2.INTER_NEAREST)))
        cv2.cvtColor(ycrcb, conversion, dst=pixels[band])
    return pixels


def _range_tables() -> dict[tuple[str, bool], np.ndarray]:
    """Return the 256-entry tables that lead out of each range, keyed (source range, chroma)."""
    level = np.arange(256)
    tables = {
        ('full', False): 16 + level * 219 / 255,
        ('full', True): 128 + (level - 128) * 224 / 255,
        ('limited', False): (level - 16) * 255 / 219,
        ('limited', True): 128 + (level - 128) * 255 / 224,
    }
    return {key: np.clip(np.rint(table), 0, 255).astype(np.uint8)
            for key, table in tables.items()}


_TABLES: dict[tuple[str, bool], np.ndarray] = _range_tables()
