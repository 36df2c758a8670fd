"""Where pixels lie on the prototypes' grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rdk_yolo_ros.letterbox import Letterbox


@dataclass(frozen=True)
class Axis:
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


class Grid(NamedTuple):
    """
    Where the source image lies on a grid of prototypes, and the cells that a box needs.

    Attributes:
        factors, shifts, least, most: float64 (4,). floor(box * factors + shifts), not under
            `least` nor over `most`, are the box's first cell, x and y, and the negative of the
            one after its last.
        finer: 1, 2 or 4: how many times finer the cells are made so that the image ends with one.
        edges: float64 (2, 2), x and y of the image's first cell and of the one after its last, in
            these finer cells.

    """

    factors: np.ndarray
    shifts: np.ndarray
    least: np.ndarray
    most: np.ndarray
    finer: int
    edges: np.ndarray


@lru_cache(maxsize=16)
def grid_of(letterbox: Letterbox, height: int, width: int) -> Grid:
    """
    Return where the source image lies on (height, width) prototypes.

    Upstream cuts the padding off before it enlarges, so that the image's outermost cells hold on
    to its edge; where the padding ends inside a cell, it enlarges by 2 or 4 first.
    """
    cells_a_pixel = np.array([width, height], np.float64) / letterbox.model_hw[::-1]
    corner = np.array([letterbox.left, letterbox.top])
    ends = np.stack([corner, corner + letterbox.resized_hw[::-1]]) * cells_a_pixel
    finer = next((f for f in (1, 2) if not (ends * f % 1).any()), 4)
    edges = np.rint(ends * finer)
    first, last = edges if finer == 1 else np.array([[0., 0.], [width, height]])
    # The cells whose centres surround every pixel of the box; rounding the box up to whole source
    # pixels may look up to one source pixel past it, and enlarging a cell further.
    margin = int(finer > 1)
    reach = np.maximum([letterbox.scale_x, letterbox.scale_y], 1) * cells_a_pixel
    return Grid(np.concatenate([cells_a_pixel, -cells_a_pixel]),
                 np.concatenate([-reach - 0.5 - margin, -reach - 0.5 - margin]),
                 np.concatenate([first, -last]), np.concatenate([last - 1, -first]), finer, edges)
