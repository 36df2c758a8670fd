"""Letterbox: source <-> model geometry, and the NV12 resize that goes with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

import numpy as np

from rdk_yolo_ros import colour
from rdk_yolo_ros.errors import FrameError, ModelError
from rdk_yolo_ros.frame import Frame

# Ultralytics pads with this grey in training and in prediction (the vendor's samples: 127).
PADDING_LEVEL = 114

# Up to so many boxes each has its own copy of the letterbox's numbers: numpy takes three times
# as long to repeat a row of four.
_ROWS = 64
_ZERO = np.array(0, np.float32)


@dataclass(frozen=True)
class Letterbox:
    """
    How a source image lies in a model's input: resized, centred, grey around it.

    model = source * scale + (left, top), per axis: the resized size is rounded to even numbers,
    so that each chroma sample stays over its four pixels, and the two scales differ by a little.

    Attributes:
        source_hw: height and width of the image, pixels.
        model_hw: height and width of the model's input, pixels, even.
        resized_hw: height and width of the image in it, model pixels, even.
        top, left: where the image begins, model pixels, even.
        scale_x, scale_y: model pixels a source pixel.

    Raises:
        FrameError: the source has no pixels.
        ModelError: the model's size is not even or has no pixels.
        ValueError: the image does not lie evenly inside the model's input.

    """

    source_hw: tuple[int, int]
    model_hw: tuple[int, int]
    resized_hw: tuple[int, int]
    top: int = 0
    left: int = 0
    scale_x: float = field(init=False)
    scale_y: float = field(init=False)
    _point_offsets: np.ndarray = field(init=False, repr=False, compare=False)
    _point_scales: np.ndarray = field(init=False, repr=False, compare=False)
    _box_offsets: np.ndarray = field(init=False, repr=False, compare=False)
    _box_scales: np.ndarray = field(init=False, repr=False, compare=False)
    _corners: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the geometry and work out the scales."""
        for name in ('source_hw', 'model_hw', 'resized_hw'):
            height, width = getattr(self, name)
            object.__setattr__(self, name, (int(height), int(width)))
        _check_sizes(self.source_hw, self.model_hw)
        numbers = (*self.resized_hw, self.top, self.left)
        if any(number % 2 for number in numbers) or min(self.resized_hw) < 2 \
                or min(self.top, self.left) < 0 \
                or self.top + self.resized_hw[0] > self.model_hw[0] \
                or self.left + self.resized_hw[1] > self.model_hw[1]:
            raise ValueError(f'an image of {self.resized_hw} at {(self.top, self.left)} does not '
                             f'lie evenly in {self.model_hw}')
        object.__setattr__(self, 'scale_x', self.resized_hw[1] / self.source_hw[1])
        object.__setattr__(self, 'scale_y', self.resized_hw[0] / self.source_hw[0])
        corner, scales = [self.left, self.top], [self.scale_x, self.scale_y]
        # For the three numbers of a point, of which the last stays, and the four of a box.
        for name, values in (('_point_offsets', [*corner, 0]), ('_point_scales', [*scales, 1]),
                             ('_box_offsets', [corner * 2] * _ROWS),
                             ('_box_scales', [scales * 2] * _ROWS),
                             ('_corners', [self.source_hw[::-1] * 2] * _ROWS)):
            object.__setattr__(self, name, np.array(values, np.float32))

    @classmethod
    def fit(cls, source_hw: tuple[int, int], model_hw: tuple[int, int]) -> Letterbox:
        """
        Return the largest even picture of `source_hw` in `model_hw`, centred, aspect kept.

        Raises:
            FrameError: the source has no pixels.
            ModelError: the model's size is not even or has no pixels.

        """
        height, width = (int(size) for size in source_hw)
        model_height, model_width = (int(size) for size in model_hw)
        _check_sizes((height, width), (model_height, model_width))
        # Whole numbers throughout: the side that fits exactly must not lose a pixel to a float.
        if width * model_height >= height * model_width:
            resized = (_even_ratio(height * model_width, width), model_width)
        else:
            resized = (model_height, _even_ratio(width * model_height, height))
        return cls((height, width), (model_height, model_width), resized,
                   top=(model_height - resized[0]) // 4 * 2,
                   left=(model_width - resized[1]) // 4 * 2)

    @classmethod
    def identity(cls, hw: tuple[int, int]) -> Letterbox:
        """
        Return the geometry of an image that has the model's size already.

        Raises:
            ModelError: the size is not even or has no pixels.

        """
        return cls(hw, hw, hw)

    def boxes_to_source(self, boxes: np.ndarray) -> np.ndarray:
        """
        Return boxes in source pixels, clipped to the image, float32 (N, 4).

        boxes: float32 (N, 4), x1 y1 x2 y2 in model pixels.
        """
        rows = slice(len(boxes) if len(boxes) <= _ROWS else 1)
        mapped = np.asarray(boxes, np.float32) - self._box_offsets[rows]
        mapped /= self._box_scales[rows]
        np.maximum(mapped, _ZERO, out=mapped)
        return np.minimum(mapped, self._corners[rows], out=mapped)

    def rotated_boxes_to_source(self, boxes: np.ndarray,
                                angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """
        Return rotated boxes in source pixels, not clipped: float32 (N, 4) and float32 (N,).

        Where the two scales differ a rectangle becomes a parallelogram: the result is the
        rectangle whose corners lie closest to it (least squares).

        boxes: float32 (N, 4), x1 y1 x2 y2 in model pixels, before they are turned about their
        centres; angles: float32 (N,), radians from x towards y.
        """
        whole = boxes.astype(np.float64)
        centres = ((whole[:, :2] + whole[:, 2:]) / 2 - self._point_offsets[:2]) / (self.scale_x,
                                                                             self.scale_y)
        halves = (whole[:, 2:] - whole[:, :2]) / 2
        turned = angles.astype(np.float64)
        cosines, sines = np.cos(turned), np.sin(turned)
        wide, high = 1 / self.scale_x, 1 / self.scale_y
        # The parallelogram's half sides in the axes of the rectangle. Both sides lean, in
        # opposite directions, by `lean` a pixel.
        along = wide * cosines ** 2 + high * sines ** 2
        across = wide * sines ** 2 + high * cosines ** 2
        lean = (high - wide) * cosines * sines
        # The turn that leaves the least: principal axis of the one side and the other, turned
        # back by a right angle.
        first, second = (halves ** 2).T
        turn = np.arctan2(
            2 * lean * (first * along - second * across),
            first * (along ** 2 - lean ** 2) + second * (across ** 2 - lean ** 2)) / 2
        cosines, sines = np.cos(turn), np.sin(turn)
        halves = halves * np.stack([along * cosines + lean * sines,
                                    across * cosines - lean * sines], axis=1)
        return (np.concatenate([centres - halves, centres + halves], axis=1).astype(np.float32),
                (turned + turn).astype(np.float32))

    def points_to_source(self, points: np.ndarray) -> np.ndarray:
        """
        Return a copy of `points` with x and y in source pixels, not clipped; float32.

        points: float32 (..., 2 or more), x and y in model pixels first; the rest is kept.
        """
        mapped = np.array(points, np.float32)
        places = mapped[..., :3]
        # Whole points at once, their third number unchanged: numpy is three times as fast on
        # adjacent numbers as on every third one.
        count = places.shape[-1]
        places -= self._point_offsets[:count]
        places /= self._point_scales[:count]
        return mapped

    def apply(self, frame: Frame, color_range: str = 'full',
              out: Optional[np.ndarray] = None) -> np.ndarray:
        """
        Return the frame as the model takes it: NV12, uint8 (H*3/2, W), in `color_range`.

        The Y and UV planes are resized as they are, bilinearly; around them Y is the grey 114
        of Ultralytics and U, V are 128. Without `out` and where there is nothing to do (an
        NV12 frame of the model's size and range, without row padding) the result is a view on
        the frame's own memory: read-only where that is, and not to be written to.

        out: uint8 (H*3/2, W), C-contiguous: written whole, and returned.

        Safe to call from several threads at once, each with an `out` of its own.

        Raises:
            FrameError: the frame's size is not `source_hw`, or it cannot be decoded.
            ValueError: `out` has another type, shape or layout, or the range is neither 'full'
                nor 'limited'.

        """
        colour.check_range(color_range)
        if frame.hw != self.source_hw:
            raise FrameError(f'frame is {frame.hw[1]}x{frame.hw[0]}, expected '
                             f'{self.source_hw[1]}x{self.source_hw[0]} as the letterbox was made '
                             'for: make one for each size of frame')
        height, width = self.model_hw
        if out is None:
            if self.source_hw == self.model_hw and frame.color_range == color_range:
                packed = _packed_nv12(frame)
                if packed is not None:
                    return packed
            out = np.empty((height * 3 // 2, width), np.uint8)
        elif out.dtype != np.uint8 or out.shape != (height * 3 // 2, width) \
                or not out.flags.c_contiguous or not out.flags.writeable:
            raise ValueError(f'out is {out.dtype} {out.shape}, expected writeable C-contiguous '
                             f'uint8 {(height * 3 // 2, width)}')
        y, uv = colour.split_nv12(out)
        top, left = self.top, self.left
        bottom, right = top + self.resized_hw[0], left + self.resized_hw[1]
        frame.write_nv12(y[top:bottom, left:right],
                         uv[top // 2:bottom // 2, left // 2:right // 2], color_range)
        _fill_around(y, top, bottom, left, right, colour.grey_luma(PADDING_LEVEL, color_range))
        _fill_around(uv, top // 2, bottom // 2, left // 2, right // 2, colour.NEUTRAL_CHROMA)
        return out


def _even_ratio(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to an even number, at least 2."""
    return max((numerator + denominator) // (2 * denominator) * 2, 2)


def _check_sizes(source_hw: tuple[int, int], model_hw: tuple[int, int]) -> None:
    if min(source_hw) < 1:
        raise FrameError(f'image is {source_hw[1]}x{source_hw[0]}, expected 1x1 pixels or more')
    if min(model_hw) < 2 or model_hw[0] % 2 or model_hw[1] % 2:
        raise ModelError(f'model input is {model_hw[1]}x{model_hw[0]}, expected even sizes, as '
                         'NV12 has one chroma sample for 2x2 pixels')


def _packed_nv12(frame: Frame) -> Optional[np.ndarray]:
    """Return the NV12 array (h*3/2, w) that the frame already is, or None where it is not one."""
    height, width = frame.hw
    if frame.encoding != 'nv12' or frame.step != width or (frame.height, frame.width) != frame.hw:
        return None
    return frame.data[:height * 3 // 2 * width].reshape(height * 3 // 2, width)


def _fill_around(plane: np.ndarray, top: int, bottom: int, left: int, right: int,
                 level: int) -> None:
    plane[:top] = level
    plane[bottom:] = level
    plane[top:bottom, :left] = level
    plane[top:bottom, right:] = level
