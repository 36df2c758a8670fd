"""Instance masks, kept at the prototypes' resolution until somebody asks for pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Union

import cv2
import numpy as np

from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo


@dataclass(frozen=True)
class _Axis:
    """
    How output pixels lie on one axis of the prototypes.

    Attributes:
        per_pixel: cells an output pixel.
        offset: where output pixel 0 begins, in cells; the letterbox's padding.

    """

    per_pixel: float
    offset: float

    def whole_factor(self) -> int:
        """Return the pixels a cell where cells begin at whole pixels, else 0."""
        factor = 1 / self.per_pixel
        whole = abs(factor - round(factor)) < 1e-9 and self.offset == round(self.offset)
        return round(factor) if whole else 0

    def neighbours(self, first: int, last: int, origin: int,
                   count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """
        Return the cells between whose centres the centres of pixels first .. last-1 lie.

        Args:
            first, last: output pixels.
            origin, count: the part of the axis that is kept; cells are counted from its first.

        Returns:
            the lower and upper cell, intp, and the upper one's weight, float32.

        """
        centres = (np.arange(first, last) + 0.5) * self.per_pixel + self.offset - 0.5 - origin
        # At the grid's ends the last cell holds on, as in torch's interpolate. A picture coarser
        # than the source image may ask for a centre past the kept cells, too.
        centres = centres.clip(0, count - 1)
        lower = centres.astype(np.intp)
        return lower, np.minimum(lower + 1, count - 1), (centres - lower).astype(np.float32)


class PrototypeMasks:
    """
    N instance masks as linear combinations of prototypes (YOLACT, arXiv 1904.02689).

    A pixel belongs to an instance where the combination, interpolated bilinearly between the
    centres of the prototypes' cells, is above 0 (its sigmoid above 0.5), and the pixel's index
    lies inside the box: Ultralytics' rule. Each instance keeps only the part of the combination
    under its box.
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
        cells_a_pixel, finer, first, last, edges = _image_cells(letterbox, height, width)
        # The cells whose centres surround every pixel of the box; rounding the box up to whole
        # source pixels may look up to one source pixel past it, and enlarging a cell further.
        reach = np.maximum([letterbox.scale_x, letterbox.scale_y], 1)
        margin = int(finer > 1)
        low = np.floor((boxes[:, :2] - reach) * cells_a_pixel - 0.5) - margin
        high = np.ceil((boxes[:, 2:] + reach) * cells_a_pixel - 0.5) + 1 + margin
        low = np.minimum(np.maximum(low, first), last - 1).astype(np.intp)
        high = np.maximum(np.minimum(high, last).astype(np.intp), low + 1)
        logits = []
        for (x0, y0), (x1, y1), weights in zip(low.tolist(), high.tolist(), coefficients):
            cells = prototypes[y0:y1, x0:x1]
            if info.zero_point is not None:
                cells = cells.astype(np.int64) - info.zero_point
            logits.append(cells.astype(np.float32, copy=False) @ weights)
        if finer > 1:
            logits, low = _refined(logits, low, finer, edges)
        return cls(logits, [(y, x) for x, y in low.tolist()], letterbox.boxes_to_source(boxes),
                   (height * finer, width * finer), letterbox)

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
        for _, where, inside in self._regions([range(len(self))[i]], height, width):
            mask[where] = inside
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
        ranks = np.zeros((height, width), dtype)
        # Where masks overlap the better instance has the higher rank: a maximum draws them in any
        # order, in two passes over whole rows where masked assignment looks at each pixel.
        best = int(np.iinfo(dtype).max)
        for i, where, inside in self._regions(range(len(self)), height, width):
            part = ranks[where]
            cv2.max(part, inside.view(np.uint8) * dtype(best - i), part)
        # The complement of rank `best - i` is i + 1, that of no rank 0.
        return np.negative(ranks, out=ranks)

    def _regions(self, instances: Sequence[int], height: int, width: int,
                 ) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray]]:
        """
        Yield instances with their box in a (height, width) picture and the mask under it.

        An instance without a pixel in the picture is left out.

        Yields:
            the instance, the rows and columns of its box, and bool (rows, columns).

        """
        source_h, source_w = self._letterbox.source_hw
        in_picture = self._boxes * np.array([width / source_w, height / source_h] * 2, np.float32)
        # Upstream's crop: pixel r is inside where x1 <= r < x2.
        corners = np.ceil(in_picture).clip(0, [width, height] * 2).astype(int).tolist()
        down, across = self._axes(height, width)
        factor_y, factor_x = down.whole_factor(), across.whole_factor()
        whole = factor_y and factor_x and (height, width) == (source_h, source_w)
        if whole:
            shift_y, shift_x = round(down.offset), round(across.offset)
            # One piece of memory for all: a new one each time would be cold.
            largest = max((self._logits[i].size for i in instances), default=0)
            memory = np.empty(largest * factor_y * factor_x, np.float32)
        for i in instances:
            left, top, right, bottom = corners[i]
            if right <= left or bottom <= top:
                continue
            row, column = self._origins[i]
            logits = self._logits[i]
            if whole:
                # Every common camera: OpenCV's resize does exactly this, vectorised.
                rows, columns = logits.shape[0] * factor_y, logits.shape[1] * factor_x
                enlarged = memory[:rows * columns].reshape(rows, columns)
                cv2.resize(logits, (columns, rows), enlarged, 0, 0, cv2.INTER_LINEAR)
                top_cell, left_cell = (row - shift_y) * factor_y, (column - shift_x) * factor_x
                values = enlarged[top - top_cell:bottom - top_cell,
                                  left - left_cell:right - left_cell]
            else:
                above, below, weight_y = down.neighbours(top, bottom, row, logits.shape[0])
                before, after, weight_x = across.neighbours(left, right, column, logits.shape[1])
                rows_between = _blend(logits[above], logits[below], weight_y[:, None])
                values = _blend(rows_between[:, before], rows_between[:, after], weight_x)
            yield i, (slice(top, bottom), slice(left, right)), values > 0

    def _axes(self, height: int, width: int) -> tuple[_Axis, _Axis]:
        """Return how the pixels of a (height, width) picture lie on the prototypes."""
        box = self._letterbox
        cells_y = self._prototype_hw[0] / box.model_hw[0]
        cells_x = self._prototype_hw[1] / box.model_hw[1]
        return (_Axis(box.scale_y * box.source_hw[0] / height * cells_y, box.top * cells_y),
                _Axis(box.scale_x * box.source_hw[1] / width * cells_x, box.left * cells_x))


@lru_cache(maxsize=16)
def _image_cells(letterbox: Letterbox, height: int, width: int,
                 ) -> tuple[np.ndarray, int, np.ndarray, np.ndarray, np.ndarray]:
    """
    Return where the source image lies on a grid of prototypes.

    Upstream cuts the padding off before it enlarges, so that the image's outermost cells hold on
    to its edge; where the padding ends inside a cell, it enlarges by 2 or 4 first.

    Returns:
        cells a pixel of the model's input, x and y; the factor 1, 2 or 4; the first cell that may
        be looked at and the one after the last, x and y each; and the image's own, (2, 2), in
        cells that many times finer.

    """
    cells_a_pixel = np.array([width, height], np.float64) / letterbox.model_hw[::-1]
    corner = np.array([letterbox.left, letterbox.top])
    ends = np.stack([corner, corner + letterbox.resized_hw[::-1]]) * cells_a_pixel
    finer = next((f for f in (1, 2) if not (ends * f % 1).any()), 4)
    edges = np.rint(ends * finer)
    first, last = edges if finer == 1 else np.array([[0, 0], [width, height]])
    return cells_a_pixel, finer, first, last, edges


def _refined(logits: Sequence[np.ndarray], origins: np.ndarray, factor: int, image: np.ndarray,
             ) -> tuple[list[np.ndarray], np.ndarray]:
    """
    Return the logits enlarged bilinearly and without what lies outside the image.

    Args:
        logits: N of float32 (h_i, w_i).
        origins: intp (N, 2), x and y of their first cells.
        factor: how many new cells a cell makes on each axis.
        image: (2, 2), x and y of the image's first new cell, and of the one after its last.

    Returns:
        N of float32, and intp (N, 2), in new cells.

    """
    parts, places = [], []
    for part, origin in zip(logits, origins * factor):
        part = cv2.resize(part, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
        size = np.array(part.shape[::-1])
        low = (image[0] - origin).clip(0, size - 1).astype(np.intp)
        high = np.maximum((image[1] - origin).clip(1, size).astype(np.intp), low + 1)
        parts.append(np.ascontiguousarray(part[low[1]:high[1], low[0]:high[0]]))
        places.append(origin + low)
    return parts, np.array(places, np.intp).reshape(-1, 2)


def _blend(lower: np.ndarray, upper: np.ndarray, weight: np.ndarray) -> np.ndarray:
    upper = upper - lower
    upper *= weight
    upper += lower
    return upper
