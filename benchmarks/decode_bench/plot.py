"""The picture of time over objects, drawn with OpenCV, which is at hand wherever this runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
import math
from pathlib import Path

import cv2
import numpy as np

from benchmarks.decode_bench.cases import Measured

# Name in the picture and colour, BGR: to be told apart by people who see red and green alike.
WAYS = {'plain': ('plain numpy', (0, 159, 230)), 'board': ('C++ loop', (120, 120, 120)),
        'ours': ('rdk_yolo_ros', (178, 114, 0))}
_PANEL_HW = (560, 560)
_MARGIN = {'left': 90, 'right': 25, 'top': 60, 'bottom': 70}
_INK, _GRID = (40, 40, 40), (225, 225, 225)


def draw(measured: Sequence[Measured], path: Path) -> None:
    """Write a PNG with a panel for each case: medians over the number of objects, log scale."""
    panels = [_panel(list(group)) for _, group in groupby(measured, lambda one: one.case)]
    height, width = _PANEL_HW
    columns = min(3, len(panels))
    panels += [np.full((height, width, 3), 255, np.uint8)] * (-len(panels) % columns)
    rows = [np.hstack(panels[i:i + columns]) for i in range(0, len(panels), columns)]
    picture = np.vstack([_legend(width * columns), *rows])
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _panel(group: list[Measured]) -> np.ndarray:
    height, width = _PANEL_HW
    image = np.full((height, width, 3), 255, np.uint8)
    medians = {way: [(i, np.median(one.seconds[way]) * 1e3) for i, one in enumerate(group)
                     if way in one.seconds] for way in WAYS}
    values = [value for points in medians.values() for _, value in points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    left, right = _MARGIN['left'], width - _MARGIN['right']
    top, bottom = _MARGIN['top'], height - _MARGIN['bottom']

    def at(i: float, value: float) -> tuple[int, int]:
        """Return the pixel of the i-th number of objects and a time."""
        across = (i + 0.5) / len(group)
        up = (math.log10(value) - low) / (high - low)
        return round(left + across * (right - left)), round(bottom - up * (bottom - top))

    for decade in range(low, high + 1):
        y = at(0, 10.0 ** decade)[1]
        cv2.line(image, (left, y), (right, y), _GRID, 2)
        _text(image, f'{10.0 ** decade:g}', (left - 12, y + 7), 0.6, anchor='right')
    _text(image, group[0].case.name + f', {group[0].case.input_hw[1]} px', (left, 38), 0.8)
    _text(image, 'ms', (left - 12, 38), 0.6, anchor='right')
    for i, one in enumerate(group):
        _text(image, str(one.objects), (at(i, 10.0 ** low)[0], bottom + 28), 0.6, 'centre')
    _text(image, 'objects', ((left + right) // 2, bottom + 56), 0.6, 'centre')
    for way, points in medians.items():
        pixels = [at(i, value) for i, value in points]
        colour = WAYS[way][1]
        cv2.polylines(image, [np.array(pixels, np.int32).reshape(-1, 1, 2)], False, colour, 3,
                      cv2.LINE_AA)
        for pixel in pixels:
            cv2.circle(image, pixel, 7, colour, -1, cv2.LINE_AA)
    return image


def _legend(width: int) -> np.ndarray:
    image = np.full((70, width, 3), 255, np.uint8)
    x = _MARGIN['left']
    for name, colour in WAYS.values():
        cv2.line(image, (x, 40), (x + 50, 40), colour, 3, cv2.LINE_AA)
        cv2.circle(image, (x + 25, 40), 7, colour, -1, cv2.LINE_AA)
        x = 45 + _text(image, name, (x + 65, 48), 0.8)
    return image


def _text(image, text, corner, size, anchor='left'):
    """Write `text` with its left end, right end or centre at a pixel; returns its right end."""
    width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]
    x = corner[0] - {'left': 0, 'centre': width // 2, 'right': width}[anchor]
    cv2.putText(image, text, (x, corner[1]), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
    return x + width
