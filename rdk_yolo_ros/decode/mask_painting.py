"""Instances' logits, enlarged to pixels, compared with 0 and painted into a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from rdk_yolo_ros.decode.mask_grid import Axis

# So many pixels are enlarged at a time: a large instance of a large picture takes no more memory
# than a small one's, and stays in the processor's cache.
_BAND_PIXELS = 1 << 18
# An array of one number: numpy would make one of a plain number in each call.
_ZERO = np.array(0, np.float32)


def paint_enlarged(picture: np.ndarray, logits: Sequence[np.ndarray],
                   origins: Sequence[tuple[int, int]], corners: Sequence[Sequence[int]],
                   colours: np.ndarray, axes: tuple[Axis, Axis]) -> None:
    """
    Paint instances where a cell is a whole number of pixels: OpenCV's resize is exact there.

    Args:
        picture: uint8 or uint16 (h, w); keeps the higher one of its own and an instance's colour.
        logits: N of float32 (h_i, w_i), cells of the prototypes' grid.
        origins: N rows and columns of the logits' first cells.
        corners: N of left, top, right and bottom of the boxes, pixels in the picture.
        colours: (N,) of the picture's type.
        axes: how the pixels lie on the grid, down and across.

    """
    down, across = axes
    factor_y, factor_x = down.whole_factor(), across.whole_factor()
    first_row, first_column = round(down.offset), round(across.offset)
    widest = max((part.shape[1] for part in logits), default=0) * factor_x
    pixels = max(_BAND_PIXELS, 3 * factor_y * widest)
    # One piece of memory for all: a new one each time would be cold.
    values, above_zero = np.empty(pixels, np.float32), np.empty(pixels, bool)
    most_cells = pixels // (factor_y * factor_x)
    wide = picture.dtype != np.uint8
    for part, (row, column), (left, top, right, bottom), colour in zip(
            logits, origins, corners, colours):
        if right <= left or bottom <= top:
            continue
        x0, y0 = (column - first_column) * factor_x, (row - first_row) * factor_y
        bands: Iterable[tuple[np.ndarray, int, int, int]] = ((part, y0, top, bottom),)
        if part.size > most_cells:
            bands = _bands(part, y0, top, bottom, factor_y, most_cells)
        for cells, y0, top, bottom in bands:
            height, width = cells.shape
            rows, columns = height * factor_y, width * factor_x
            enlarged, inside = values[:rows * columns], above_zero[:rows * columns]
            cv2.resize(cells, (columns, rows), enlarged.reshape(rows, columns), 0, 0,
                       cv2.INTER_LINEAR)
            # What lies around the box as well: short rows take longer than a few more pixels.
            np.greater(enlarged, _ZERO, out=inside)
            painted = inside.view(np.uint8)
            painted = painted * colour if wide else np.multiply(painted, colour, out=painted)
            place = picture[top:bottom, left:right]
            cv2.max(place, painted.reshape(rows, columns)[top - y0:bottom - y0,
                                                          left - x0:right - x0], place)


def paint_interpolated(picture: np.ndarray, logits: Sequence[np.ndarray],
                       origins: Sequence[tuple[int, int]], corners: Sequence[Sequence[int]],
                       colours: np.ndarray, axes: tuple[Axis, Axis]) -> None:
    """Paint instances into a picture of any size; see `paint_enlarged`."""
    down, across = axes
    for part, (row, column), (left, top, right, bottom), colour in zip(
            logits, origins, corners, colours):
        if right <= left or bottom <= top:
            continue
        step = max(_BAND_PIXELS // (right - left), 1)
        for first in range(top, bottom, step):
            last = min(first + step, bottom)
            above, below, weight_y = down.neighbours(first, last, row, part.shape[0])
            before, after, weight_x = across.neighbours(left, right, column, part.shape[1])
            rows = _blend(part[above], part[below], weight_y[:, None])
            values = _blend(rows[:, before], rows[:, after], weight_x)
            place = picture[first:last, left:right]
            np.maximum(place, (values > 0) * colour, out=place)


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
