"""Instance masks, kept at the prototypes' resolution until somebody asks for pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Union

import cv2
import numpy as np

from rdk_yolo_ros.decode.mask_grid import Axis, Grid, grid_of
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo

# Rows and columns of a picture, and what is painted there.
_Painted = Iterator[tuple[tuple[slice, slice], np.ndarray]]

_NOTHING = np.empty((0, 0), np.float32)
_ZERO = np.float32(0)
# So many pixels are enlarged at a time: a large instance of a large picture takes no more memory
# than a small one's, and stays in the processor's cache.
_BAND_PIXELS = 1 << 18
# Boxes that are so many times as high as the picture, taken together.
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
            boxes: float32 (N, 4), source-image pixels.
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
        # As in `dequantize`: without a scale a number is a real one already.
        zero_point = info.zero_point if info.scale is not None else None
        if zero_point is not None and not zero_point.any():
            zero_point = None
        plain = prototypes.dtype == np.float32 and zero_point is None
        if prototypes.flags.c_contiguous and \
                (sides[:, 3] - sides[:, 1]).sum() > _MANY_BOXES * height:
            # A box has a short piece of each row, whose beginning memory is slow to hand out;
            # it is fast with all of them in a row, and then they are in the processor's cache.
            cv2.norm(prototypes.reshape(height, -1), cv2.NORM_INF)
        corners = sides.tolist()
        logits: list[np.ndarray] = [_NOTHING] * len(corners)
        # From top to bottom, so that one finds in the processor's cache what the last one read.
        for i in sides[:, 1].argsort().tolist():
            left, top, right, bottom = corners[i]
            cells = prototypes[top:max(bottom, top + 1), left:max(right, left + 1)]
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
        height, width = self._letterbox.source_hw
        mask = np.zeros((height, width), bool)
        only = range(len(self))[i]
        for where, painted in self._painted([only], np.ones(len(self), np.uint8), height, width):
            mask[where] = painted
        return mask

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        """
        Return one picture of all instances: 0 background, i + 1 instance i.

        Args:
            height, width: its size in pixels; the source image is scaled to it.

        Returns:
            uint8 (height, width), or uint16 past 255 instances. Where masks overlap the better
            score wins.

        """
        dtype = np.uint8 if len(self) <= 255 else np.uint16
        picture = np.zeros((height, width), dtype)
        # Where masks overlap the better instance has the higher rank: a maximum draws them in any
        # order, in passes over whole rows where masked assignment looks at each pixel.
        best = int(np.iinfo(dtype).max)
        ranks = np.arange(best, best - len(self), -1).astype(dtype)
        for where, painted in self._painted(range(len(self)), ranks, height, width):
            part = picture[where]
            cv2.max(part, painted, part)
        # The complement of rank `best - i` is i + 1, that of no rank 0.
        return np.negative(picture, out=picture)

    def _painted(self, instances: Sequence[int], colours: np.ndarray, height: int, width: int,
                 ) -> _Painted:
        """
        Yield, for instances with a pixel in a (height, width) picture, the picture in their box.

        A large instance comes in several bands.

        Args:
            instances: which.
            colours: uint8 or uint16 (N,), what each instance is painted with.
            height, width: the picture's size in pixels; the source image is scaled to it.

        Yields:
            rows and columns of the box; (rows, columns) of the colours' type, the instance's
            colour where its mask is and else 0, to be used before the next one.

        """
        source_h, source_w = self._letterbox.source_hw
        in_picture = self._boxes * np.array([width / source_w, height / source_h] * 2, np.float32)
        # Upstream's crop: pixel r is inside where x1 <= r < x2.
        corners = np.ceil(in_picture).clip(0, [width, height] * 2).astype(int).tolist()
        shown = [i for i in instances
                 if corners[i][0] < corners[i][2] and corners[i][1] < corners[i][3]]
        axes = self._axes(height, width)
        if (height, width) == (source_h, source_w) and all(axis.whole_factor() for axis in axes):
            # Every common camera: OpenCV's resize does exactly this, vectorised.
            return self._enlarged(shown, corners, colours, *axes)
        return self._interpolated(shown, corners, colours, *axes)

    def _interpolated(self, instances: Sequence[int], corners: Sequence[list[int]],
                      colours: np.ndarray, down: Axis, across: Axis) -> _Painted:
        """See `_painted`; whatever the picture's size."""
        for i in instances:
            left, top, right, bottom = corners[i]
            row, column = self._origins[i]
            logits = self._logits[i]
            step = max(_BAND_PIXELS // (right - left), 1)
            for first in range(top, bottom, step):
                last = min(first + step, bottom)
                above, below, weight_y = down.neighbours(first, last, row, logits.shape[0])
                before, after, weight_x = across.neighbours(left, right, column, logits.shape[1])
                rows = _blend(logits[above], logits[below], weight_y[:, None])
                values = _blend(rows[:, before], rows[:, after], weight_x)
                yield (slice(first, last), slice(left, right)), (values > 0) * colours[i]

    def _enlarged(self, instances: Sequence[int], corners: Sequence[list[int]],
                  colours: np.ndarray, down: Axis, across: Axis) -> _Painted:
        """See `_painted`; for pictures with a whole number of pixels a cell."""
        factor_y, factor_x = down.whole_factor(), across.whole_factor()
        first_row, first_column = round(down.offset), round(across.offset)
        largest = max((self._logits[i].shape[1] for i in instances), default=0) * factor_x
        pixels = max(_BAND_PIXELS, 3 * factor_y * largest)
        # One piece of memory for all: a new one each time would be cold.
        values, above_zero = np.empty(pixels, np.float32), np.empty(pixels, bool)
        most_cells = pixels // (factor_y * factor_x)
        wide = colours.dtype != np.uint8
        for i in instances:
            left, top, right, bottom = corners[i]
            row, column = self._origins[i]
            logits = self._logits[i]
            bands = [(logits, (row - first_row) * factor_y, top, bottom)]
            if logits.size > most_cells:
                bands = _bands(*bands[0], factor_y, most_cells)
            colour = colours[i]
            x0 = (column - first_column) * factor_x
            where_x, from_x = slice(left, right), slice(left - x0, right - x0)
            for cells, y0, top, bottom in bands:
                height, width = cells.shape
                rows, columns = height * factor_y, width * factor_x
                count = rows * columns
                enlarged, flags = values[:count], above_zero[:count]
                cv2.resize(cells, (columns, rows), enlarged.reshape(rows, columns), 0, 0,
                           cv2.INTER_LINEAR)
                # What lies around the box as well: short rows take longer than a few more pixels.
                np.greater(enlarged, _ZERO, out=flags)
                painted = flags.view(np.uint8)
                painted = painted * colour if wide else np.multiply(painted, colour, out=painted)
                yield ((slice(top, bottom), where_x),
                       painted.reshape(rows, columns)[top - y0:bottom - y0, from_x])

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


def _bands(logits: np.ndarray, y0: int, top: int, bottom: int, factor: int, most_cells: int,
           ) -> list[tuple[np.ndarray, int, int, int]]:
    """
    Split a large instance into bands, from top to bottom.

    Args:
        logits: float32 (h, w).
        y0: the first cell's first row of pixels.
        top, bottom: the rows of pixels that are wanted.
        factor: rows of pixels a cell.
        most_cells: of a band; three rows or more.

    Returns:
        of each band the arguments `logits` to `bottom`. It has a row of cells above and one below
        that its pixels look at.

    """
    height, width = logits.shape
    step = most_cells // width - 2
    bands = []
    for first in range(0, height, step):
        low = max(first - 1, 0)
        begin, end = max(y0 + first * factor, top), min(y0 + (first + step) * factor, bottom)
        if begin < end:
            bands.append((logits[low:first + step + 1], y0 + low * factor, begin, end))
    return bands


def _blend(lower: np.ndarray, upper: np.ndarray, weight: np.ndarray) -> np.ndarray:
    upper = upper - lower
    upper *= weight
    upper += lower
    return upper
