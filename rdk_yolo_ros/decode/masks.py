"""Instance masks, kept at the prototypes' resolution until somebody asks for pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import cv2
import numpy as np

from rdk_yolo_ros.decode.mask_grid import Axis, Grid, grid_of
from rdk_yolo_ros.decode.mask_painting import paint_enlarged, paint_interpolated
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

_NOTHING = np.empty((0, 0), np.float32)
# So many times as high as the picture the boxes are, taken together, where they are many.
_MANY_BOXES = 4


class PrototypeMasks:
    """
    N instance masks as linear combinations of prototypes (YOLACT, arXiv 1904.02689).

    A pixel belongs to an instance where the combination, interpolated bilinearly between the
    centres of the prototypes' cells, is above 0 (its sigmoid above 0.5), and the pixel's index
    lies inside the box: the rule of Ultralytics' process_mask_native. Each instance keeps only
    the part of the combination under its box.
    """

    def __init__(self, logits: Sequence[np.ndarray], origins: Sequence[tuple[int, int]],
                 boxes: np.ndarray, prototype_hw: tuple[int, int], letterbox: Letterbox) -> None:
        """
        Take the instances' logits; `combine` makes them.

        Args:
            logits: N of float32 (h_i, w_i), cells of the prototypes' grid.
            origins: N rows and columns of the logits' first cells.
            boxes: float32 (N, 4), source-image pixels, inside the image.
            prototype_hw: the whole grid.
            letterbox: how the source image lies in the model's input.

        """
        self._logits = tuple(logits)
        self._origins = tuple(origins)
        self._boxes = boxes
        self._prototype_hw = prototype_hw
        self._letterbox = letterbox

    @classmethod
    def combine(cls, prototypes: np.ndarray, info: TensorInfo, coefficients: np.ndarray,
                boxes: np.ndarray, letterbox: Letterbox) -> PrototypeMasks:
        """
        Combine prototypes under each box.

        Args:
            prototypes: (H, W, C), stored numbers; not kept.
            info: their description, for dequantizing.
            coefficients: float32 (N, C).
            boxes: float32 (N, 4), model-input pixels.
            letterbox: how the source image lies in the model's input.

        """
        if info.scale is not None:
            coefficients = coefficients * info.scale
        height, width = prototypes.shape[:2]
        grid = grid_of(letterbox, height, width)
        # All four sides at once; the right and lower ones are negative, so that floor is ceil.
        sides = np.floor(boxes * grid.factors + grid.shifts)
        np.minimum(np.maximum(sides, grid.least, out=sides), grid.most, out=sides)
        sides = np.abs(sides).astype(np.intp)
        np.maximum(sides[:, 2:], sides[:, :2] + 1, out=sides[:, 2:])  # a cell at least
        # As in `dequantize`: without a scale a number is a real one already.
        zero_point = info.zero_point if info.scale is not None else None
        if zero_point is not None and not zero_point.any():
            zero_point = None
        plain = prototypes.dtype == np.float32 and zero_point is None
        # A box has a short piece of each row, and memory is slow to hand out the first of it.
        # Where boxes are many, whole rows are read before: fast, and then they are in the cache.
        many = (sides[:, 3] - sides[:, 1]).sum() > _MANY_BOXES * height
        unread = 0 if many and plain and prototypes.flags.c_contiguous else height
        corners = sides.tolist()
        logits: list[np.ndarray] = [_NOTHING] * len(corners)
        # From top to bottom, so that one finds in the processor's cache what the last one read.
        for i in sides[:, 1].argsort().tolist():
            left, top, right, bottom = corners[i]
            if bottom > unread:
                cv2.norm(prototypes[max(top, unread):bottom].reshape(1, -1), cv2.NORM_INF)
                unread = bottom
            cells = prototypes[top:bottom, left:right]
            if not plain:
                if zero_point is not None:
                    cells = cells.astype(np.int64) - zero_point
                cells = cells.astype(np.float32, copy=False)
            logits[i] = cells @ coefficients[i]
        origins = [(top, left) for left, top, _, _ in corners]
        if grid.finer > 1:
            logits, origins = _refined(logits, origins, grid)
        return cls(logits, origins, letterbox.boxes_to_source(boxes),
                   (height * grid.finer, width * grid.finer), letterbox)

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self._logits)

    def __getitem__(self, index: Union[slice, np.ndarray]) -> PrototypeMasks:
        """Return the masks of the instances that a slice, a boolean or integer array selects."""
        chosen = np.arange(len(self))[index]
        return PrototypeMasks([self._logits[i] for i in chosen],
                              [self._origins[i] for i in chosen],
                              self._boxes[chosen], self._prototype_hw, self._letterbox)

    def full(self, i: int) -> np.ndarray:
        """Return instance i's mask over the source image, bool (h, w)."""
        picture = np.zeros(self._letterbox.source_hw, np.uint8)
        self[np.array([i])]._paint(picture, np.ones(1, np.uint8))
        return picture.view(bool)

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        """
        Return one picture of all instances: 0 background, i + 1 instance i.

        Args:
            height, width: its size in pixels; the source image is scaled to it.

        Returns:
            uint8 (height, width), or uint16 past 255 instances. Where masks overlap the better
            score wins.

        """
        dtype, best = (np.uint8, 255) if len(self) <= 255 else (np.uint16, 65535)
        picture = np.zeros((height, width), dtype)
        # Where masks overlap the better instance has the higher rank: a maximum draws them in any
        # order, in passes over whole rows where masked assignment looks at each pixel.
        self._paint(picture, np.arange(best, best - len(self), -1).astype(dtype))
        # The complement of rank `best - i` is i + 1, that of no rank 0.
        return np.negative(picture, out=picture)

    def _paint(self, picture: np.ndarray, colours: np.ndarray) -> None:
        """
        Paint the masks into a picture of the source image; where two overlap, the higher colour.

        Args:
            picture: uint8 or uint16 (h, w).
            colours: (N,) of its type.

        """
        height, width = picture.shape
        source_h, source_w = self._letterbox.source_hw
        corners = self._boxes
        own_size = (height, width) == (source_h, source_w)
        if not own_size:
            corners = corners * np.array([width / source_w, height / source_h] * 2, np.float32)
            corners = corners.clip(0, [width, height] * 2)
        axes = self._axes(height, width)
        # Every common camera: whole cells, and a picture of the image's own size.
        paint = paint_enlarged if own_size and all(axis.whole_factor() for axis in axes) \
            else paint_interpolated
        # Upstream's crop: pixel r is inside where x1 <= r < x2.
        corners = np.ceil(corners).astype(np.intp).tolist()
        paint(picture, self._logits, self._origins, corners, colours, axes)

    def _axes(self, height: int, width: int) -> tuple[Axis, Axis]:
        """Return how the pixels of a (height, width) picture lie on the prototypes."""
        box = self._letterbox
        cells_y = self._prototype_hw[0] / box.model_hw[0]
        cells_x = self._prototype_hw[1] / box.model_hw[1]
        return (Axis(box.scale_y * box.source_hw[0] / height * cells_y, box.top * cells_y),
                Axis(box.scale_x * box.source_hw[1] / width * cells_x, box.left * cells_x))


def _refined(logits: Sequence[np.ndarray], origins: Sequence[tuple[int, int]], grid: Grid,
             ) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """
    Return the logits enlarged bilinearly and without what lies outside the image.

    Args:
        logits: N of float32 (h_i, w_i).
        origins: N rows and columns of their first cells.
        grid: the prototypes'.

    Returns:
        N of float32, and N rows and columns, in the finer cells.

    """
    parts, places = [], []
    (left, top), (right, bottom) = grid.edges.astype(int).tolist()
    for part, (row, column) in zip(logits, origins):
        row, column = row * grid.finer, column * grid.finer
        part = cv2.resize(part, None, fx=grid.finer, fy=grid.finer,
                          interpolation=cv2.INTER_LINEAR)
        height, width = part.shape
        y0, x0 = min(max(top - row, 0), height - 1), min(max(left - column, 0), width - 1)
        y1, x1 = max(min(bottom - row, height), y0 + 1), max(min(right - column, width), x0 + 1)
        parts.append(np.ascontiguousarray(part[y0:y1, x0:x1]))
        places.append((row + y0, column + x0))
    return parts, places
