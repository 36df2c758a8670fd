"""A small transparent picture that one thing is drawn on before it is put into a scene."""

from collections.abc import Sequence
import math

import cv2
import numpy as np

Color = tuple[float, float, float]

_SHIFT = 4
_ONE = 1 << _SHIFT


class Layer:
    """Premultiplied BGRA, uint8 (h, w, 4), at a place in the image that may lie outside of it.

    OpenCV's anti-aliased drawing blends with what is there. On a transparent black ground that
    gives exactly the premultiplied colour and its coverage, so one call draws both.
    """

    def __init__(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.x = int(math.floor(x1)) - 1
        self.y = int(math.floor(y1)) - 1
        width = max(int(math.ceil(x2)) + 1 - self.x, 1)
        height = max(int(math.ceil(y2)) + 1 - self.y, 1)
        self.pixels: np.ndarray = np.zeros((height, width, 4), np.uint8)

    def _fixed(self, points) -> np.ndarray:
        # OpenCV has pixel centres at integers, scenes have them at halves.
        moved = np.asarray(points, np.float64) - (self.x + 0.5, self.y + 0.5)
        return np.round(moved * _ONE).astype(np.int32)

    def polygon(self, points, color: Color) -> None:
        """Fill a convex polygon, float (n, 2) in image pixels."""
        cv2.fillConvexPoly(self.pixels, self._fixed(points), (*color, 255), cv2.LINE_AA, _SHIFT)

    def circle(self, center, radius: float, color: Color) -> None:
        """Fill a circle."""
        x, y = self._fixed(center)
        cv2.circle(self.pixels, (int(x), int(y)), max(int(radius * _ONE), 1), (*color, 255), -1,
                   cv2.LINE_AA, _SHIFT)

    def ellipse(self, center, axes: Sequence[float], angle: float, color: Color,
                start: float = 0., end: float = 360.) -> None:
        """Fill an ellipse (or a sector of it) with half axes `axes`, turned by `angle` degrees."""
        x, y = self._fixed(center)
        half = (max(int(axes[0] * _ONE), 1), max(int(axes[1] * _ONE), 1))
        cv2.ellipse(self.pixels, (int(x), int(y)), half, float(angle), float(start), float(end),
                    (*color, 255), -1, cv2.LINE_AA, _SHIFT)

    def line(self, a, b, thickness: float, color: Color) -> None:
        """Draw a line."""
        start, end = self._fixed(a), self._fixed(b)
        cv2.line(self.pixels, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])),
                 (*color, 255), max(int(round(thickness)), 1), cv2.LINE_AA, _SHIFT)

    def capsule(self, a, b, radius_a: float, radius_b: float, color: Color) -> None:
        """Fill two circles and what lies between them."""
        dx, dy = b[0] - a[0], b[1] - a[1]
        length = math.hypot(dx, dy)
        self.circle(a, radius_a, color)
        self.circle(b, radius_b, color)
        if length > 0.5:
            nx, ny = -dy / length, dx / length
            self.polygon([(a[0] + nx * radius_a, a[1] + ny * radius_a),
                          (b[0] + nx * radius_b, b[1] + ny * radius_b),
                          (b[0] - nx * radius_b, b[1] - ny * radius_b),
                          (a[0] - nx * radius_a, a[1] - ny * radius_a)], color)

    def shade(self, left: float, right: float) -> None:
        """Multiply the colours by a gain that goes from `left` to `right` (0..1)."""
        gain = np.linspace(left, right, self.pixels.shape[1], dtype=np.float32) * 255
        plane = np.empty(self.pixels.shape, np.uint8)
        plane[..., :3] = gain[None, :, None]
        plane[..., 3] = 255
        self.pixels = cv2.multiply(self.pixels, plane, scale=1 / 255)

    def clip(self, height: int, width: int) -> tuple[slice, slice, slice, slice]:
        """Rows and columns of the image, then of the layer, where the two overlap."""
        y1, x1 = max(self.y, 0), max(self.x, 0)
        y2 = max(min(self.y + self.pixels.shape[0], height), y1)
        x2 = max(min(self.x + self.pixels.shape[1], width), x1)
        return (slice(y1, y2), slice(x1, x2),
                slice(y1 - self.y, y2 - self.y), slice(x1 - self.x, x2 - self.x))

    def over(self, image: np.ndarray) -> None:
        """Put the layer on a BGR image, in place."""
        rows, columns, own_rows, own_columns = self.clip(*image.shape[:2])
        own = self.pixels[own_rows, own_columns]
        if own.size == 0:
            return
        below = image[rows, columns]
        keep = cv2.cvtColor(cv2.bitwise_not(own[..., 3]), cv2.COLOR_GRAY2BGR)
        faded = cv2.multiply(below, keep, scale=1 / 255)
        image[rows, columns] = cv2.add(faded, np.ascontiguousarray(own[..., :3]))
