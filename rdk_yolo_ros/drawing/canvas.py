"""What is drawn on: a BGR picture, or the planes of an NV12 image as they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import cv2
import numpy as np

from rdk_yolo_ros import colour

# Blue, green, red, 0 to 255, whatever the canvas holds.
Colour = tuple[int, int, int]
Place = tuple[int, int]  # x, y


class Canvas(Protocol):
    """Draws in place; places are pixels of the whole picture, colours BGR."""

    hw: tuple[int, int]

    def polygon(self, corners: np.ndarray, colour: Colour, width: int) -> None:
        """Draw a closed outline through corners, int32 (n, 2)."""

    def lines(self, ends: np.ndarray, colour: Colour, width: int) -> None:
        """Draw lines, each from one end to the other, int32 (n, 2, 2)."""

    def dots(self, places: Sequence[Place], radius: int, colour: Colour, rim: Colour) -> None:
        """Draw discs with a thin rim."""

    def label(self, coverage: np.ndarray, corner: Place, colour: Colour, ink: Colour) -> None:
        """Fill a rectangle with a colour, and with ink as far as it covers: uint8 (h, w)."""

    def tint(self, labels: np.ndarray, colours: Sequence[Colour], opacity: float) -> None:
        """Tint the pixels of each label i + 1 of (h, w) with the colour i; 0 stays as it is."""


def line_width(picture: np.ndarray) -> int:
    """Return the width of a line that is well seen on a picture (h, w, ...), in pixels."""
    return max(1, round(min(picture.shape[:2]) / 300))


class BgrCanvas:
    """
    A picture, uint8 (h, w, 3) BGR.

    Attributes:
        hw: its height and width.

    """

    def __init__(self, picture: np.ndarray) -> None:
        self._picture = picture
        self.hw = (picture.shape[0], picture.shape[1])

    def polygon(self, corners: np.ndarray, colour: Colour, width: int) -> None:
        """See Canvas."""
        cv2.polylines(self._picture, [corners], True, colour, width, cv2.LINE_AA)

    def lines(self, ends: np.ndarray, colour: Colour, width: int) -> None:
        """See Canvas."""
        cv2.polylines(self._picture, list(ends), False, colour, width, cv2.LINE_AA)

    def dots(self, places: Sequence[Place], radius: int, colour: Colour, rim: Colour) -> None:
        """See Canvas."""
        for place in places:
            cv2.circle(self._picture, place, radius, colour, -1, cv2.LINE_AA)
            cv2.circle(self._picture, place, radius, rim, 1, cv2.LINE_AA)

    def label(self, coverage: np.ndarray, corner: Place, colour: Colour, ink: Colour) -> None:
        """See Canvas."""
        part = _part(self._picture, coverage, corner)
        part[...] = _blend(colour, ink)[coverage[:part.shape[0], :part.shape[1]]]

    def tint(self, labels: np.ndarray, colours: Sequence[Colour], opacity: float) -> None:
        """See Canvas."""
        _tint(self._picture, labels, np.array([(0, 0, 0), *colours], np.uint8), opacity)


class Nv12Canvas:
    """
    The planes of an NV12 image: lines cost what they cover, and nothing is converted.

    A colour is shared by 2 x 2 pixels, as in everything else that is NV12.

    Attributes:
        hw: the image's height and width.

    """

    def __init__(self, y: np.ndarray, uv: np.ndarray, color_range: str = 'full') -> None:
        """
        Draw on planes, in place.

        Args:
            y: uint8 (h, w), h and w even.
            uv: uint8 (h/2, w/2, 2).
            color_range: 'full' or 'limited'.

        """
        self._y, self._uv = y, uv
        self._range = color_range
        self.hw = (y.shape[0], y.shape[1])

    def polygon(self, corners: np.ndarray, colour: Colour, width: int) -> None:
        """See Canvas."""
        luma, chroma = _yuv(colour, self._range)
        cv2.polylines(self._y, [corners], True, luma, width, cv2.LINE_AA)
        cv2.polylines(self._uv, [corners >> 1], True, chroma, _half(width))

    def lines(self, ends: np.ndarray, colour: Colour, width: int) -> None:
        """See Canvas."""
        luma, chroma = _yuv(colour, self._range)
        cv2.polylines(self._y, list(ends), False, luma, width, cv2.LINE_AA)
        cv2.polylines(self._uv, list(ends >> 1), False, chroma, _half(width))

    def dots(self, places: Sequence[Place], radius: int, colour: Colour, rim: Colour) -> None:
        """See Canvas."""
        luma, chroma = _yuv(colour, self._range)
        rim_luma, _ = _yuv(rim, self._range)
        for place in places:
            cv2.circle(self._y, place, radius, luma, -1, cv2.LINE_AA)
            cv2.circle(self._y, place, radius, rim_luma, 1, cv2.LINE_AA)
            cv2.circle(self._uv, _halved(place), _half(radius), chroma, -1)

    def label(self, coverage: np.ndarray, corner: Place, colour: Colour, ink: Colour) -> None:
        """See Canvas; the letters differ from their plate in brightness alone."""
        luma, chroma = _yuv(colour, self._range)
        ink_luma, _ = _yuv(ink, self._range)
        part = _part(self._y, coverage, corner)
        part[...] = cv2.LUT(coverage, _blend((luma,), (ink_luma,)))[:part.shape[0], :part.shape[1]]
        left, top = _halved(corner)
        self._uv[top:top + (part.shape[0] + 1) // 2, left:left + (part.shape[1] + 1) // 2] = chroma

    def tint(self, labels: np.ndarray, colours: Sequence[Colour], opacity: float) -> None:
        """See Canvas."""
        palette = [_yuv(colour, self._range) for colour in colours]
        _tint(self._y, labels, np.array([0, *(luma for luma, _ in palette)], np.uint8), opacity)
        _tint(self._uv, np.ascontiguousarray(labels[::2, ::2]),
              np.array([(0, 0), *(chroma for _, chroma in palette)], np.uint8), opacity)


def _tint(plane: np.ndarray, labels: np.ndarray, palette: np.ndarray, opacity: float) -> None:
    tinted = cv2.addWeighted(plane, 1 - opacity, palette[labels], opacity, 0)
    cv2.copyTo(tinted, (labels > 0).astype(np.uint8), plane)


def _part(plane: np.ndarray, patch: np.ndarray, corner: Place) -> np.ndarray:
    """Return the part of a plane that a patch lies over."""
    left, top = corner
    return plane[top:top + patch.shape[0], left:left + patch.shape[1]]


@lru_cache(maxsize=1024)
def _blend(colour: tuple[int, ...], ink: tuple[int, ...]) -> np.ndarray:
    """Return what each coverage, 0 to 255, makes of a colour and ink: uint8 (256, channels)."""
    share = np.arange(256)[:, None] / 255
    return np.rint((1 - share) * colour + share * ink).astype(np.uint8)


@lru_cache(maxsize=1024)
def _yuv(bgr: Colour, color_range: str) -> tuple[int, tuple[int, int]]:
    y, _, uv = colour.bgr_to_nv12(np.full((2, 2, 3), bgr, np.uint8), color_range)
    return int(y[0]), (int(uv[0]), int(uv[1]))


def _half(length: int) -> int:
    return max(1, (length + 1) // 2)


def _halved(place: Place) -> Place:
    return place[0] >> 1, place[1] >> 1
