"""Camera calibration as sensor_msgs/CameraInfo carries it, without ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Calibration:
    """
    A camera's intrinsics for images of width x height pixels.

    Attributes:
        width: pixels.
        height: pixels.
        model: distortion model, sensor_msgs' name.
        d: the model's coefficients.
        k: 3x3 camera matrix, row by row. Pixel centres are at whole numbers, as in OpenCV.
        r: 3x3 rectification, row by row.
        p: 3x4 projection, row by row.

    """

    width: int
    height: int
    model: str
    d: tuple[float, ...]
    k: tuple[float, ...]
    r: tuple[float, ...]
    p: tuple[float, ...]

    @classmethod
    def pinhole(cls, width: int, height: int) -> Calibration:
        """Return a guess: no distortion, the image plane as far away as it is wide (53 deg)."""
        f, cx, cy = float(width), (width - 1) / 2, (height - 1) / 2
        return cls(width, height, 'plumb_bob', (0.0,) * 5,
                   (f, 0.0, cx, 0.0, f, cy, 0.0, 0.0, 1.0),
                   (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
                   (f, 0.0, cx, 0.0, 0.0, f, cy, 0.0, 0.0, 0.0, 1.0, 0.0))

    @classmethod
    def from_info(cls, info: Any) -> Calibration:
        """Take over anything with sensor_msgs/CameraInfo's fields."""
        return cls(int(info.width), int(info.height), str(info.distortion_model),
                   *(tuple(float(value) for value in row)
                     for row in (info.d, info.k, info.r, info.p)))

    def fitted(self, width: int, height: int) -> Calibration:
        """Return the same camera's calibration for images that `conform` changed in size."""
        if 0 <= self.width - width <= 1 and 0 <= self.height - height <= 1:
            # Cut at the right and below, where nothing that is counted from the left moves.
            return replace(self, width=width, height=height)
        sx, sy = width / self.width, height / self.height

        def scale(matrix: tuple[float, ...], columns: int) -> tuple[float, ...]:
            rows = [list(matrix[i:i + columns]) for i in range(0, len(matrix), columns)]
            for row, s in zip(rows, (sx, sy)):
                row[:] = [value * s for value in row]
                # A pixel's centre lies half a pixel from its edge, at any size.
                row[2] += (s - 1) / 2
            return tuple(value for row in rows for value in row)

        return replace(self, width=width, height=height, k=scale(self.k, 3), p=scale(self.p, 4))
