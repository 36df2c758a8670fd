"""The picture of a run: memory above, latency below, drawn with OpenCV."""

from __future__ import annotations

from collections.abc import Sequence
import math
from pathlib import Path

import cv2
import numpy as np

from benchmarks.soak.figures import Figures
from benchmarks.soak.record import NODES, Minute, Sample

_PANEL_HW = (330, 1100)
_MARGIN = {'left': 100, 'right': 30, 'top': 60, 'bottom': 50}
_INK, _GRID, _SHADE = (40, 40, 40), (225, 225, 225), (240, 240, 240)
# BGR; to be told apart by people who see red and green alike.
_BLUE, _ORANGE, _GREY = (178, 114, 0), (0, 159, 230), (120, 120, 120)
_NODE_COLOURS = {'yolo': _BLUE, 'source': _ORANGE}


def draw(samples: Sequence[Sample], minutes: Sequence[Minute], found: Figures,
         path: Path) -> None:
    """Write a PNG: memory of both processes, and latency by the minute."""
    at = np.array([sample.at_s for sample in samples]) / 60
    panels = []
    for node in NODES[::-1]:
        own = np.array([sample.readings[node].own for sample in samples]) / 1e6
        slope = next(one.slope for one in found.nodes if one.node == node)
        panels.append(_panel(
            f'{node}: resident memory of its own, MB ({slope:+.2f} MB an hour after the warm-up)',
            found,
            [('', at, own, _NODE_COLOURS[node])], least_span=10.0))
    ends = np.array([minute.at_s - minute.seconds / 2 for minute in minutes]) / 60
    panels.append(_panel('from stamp to receipt, ms, by the minute', found, [
        (name, ends, np.array([getattr(minute, f'{name}_ms') for minute in minutes]), colour)
        for name, colour in (('p50', _BLUE), ('p95', _ORANGE), ('p99', _GREY))], from_zero=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(panels), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def _panel(title: str, found: Figures,
           lines: Sequence[tuple[str, np.ndarray, np.ndarray, tuple[int, int, int]]],
           least_span: float = 1.0, from_zero: bool = False) -> np.ndarray:
    height, width = _PANEL_HW
    image = np.full((height, width, 3), 255, np.uint8)
    left, right = _MARGIN['left'], width - _MARGIN['right']
    top, bottom = _MARGIN['top'], height - _MARGIN['bottom']
    after = [y[(x * 60 >= found.warm_up_s) & np.isfinite(y)] for _, x, y, _ in lines]
    shown = np.concatenate(after) if any(map(len, after)) else np.array([0.0, 1.0])
    # What the warm-up does must not flatten the rest.
    low, high = (0.0 if from_zero else float(shown.min())), float(shown.max())
    middle, span = (low + high) / 2, max(1.2 * (high - low), least_span)
    if from_zero:
        high = low + span
    else:
        low, high = middle - span / 2, middle + span / 2
    length = max(found.seconds / 60, 1e-3)

    def at(x: float, y: float) -> tuple[int, int]:
        """Return the pixel of a minute and a value; what is outside goes to the edge."""
        up = min(max((y - low) / (high - low), 0.0), 1.0)
        return (round(left + min(x / length, 1.0) * (right - left)),
                round(bottom - up * (bottom - top)))

    cv2.rectangle(image, (left, top), (at(found.warm_up_s / 60, low)[0], bottom), _SHADE, -1)
    for tick in _ticks(low, high):
        row = at(0, tick)[1]
        cv2.line(image, (left, row), (right, row), _GRID, 1)
        _text(image, f'{tick:g}', (left - 10, row + 6), 0.55, 'right')
    for tick in _ticks(0, length):
        column = at(tick, low)[0]
        cv2.line(image, (column, bottom), (column, bottom + 6), _INK, 1)
        _text(image, f'{tick:g}', (column, bottom + 26), 0.55, 'centre')
    _text(image, 'warm-up', (left + 6, top + 18), 0.5)
    _text(image, 'minutes', ((left + right) // 2, bottom + 44), 0.5, 'centre')
    _text(image, title, (left, 34), 0.65)
    x_legend = right
    for name, minutes, values, colour in lines[::-1]:
        points = [at(x, y) for x, y in zip(minutes, values) if math.isfinite(y)]
        if points:
            cv2.polylines(image, [np.array(points, np.int32).reshape(-1, 1, 2)], False, colour, 2,
                          cv2.LINE_AA)
        if name:
            _text(image, name, (x_legend, 34), 0.6, 'right')
            cv2.line(image, (x_legend - 75, 28), (x_legend - 45, 28), colour, 3)
            x_legend -= 100
    return image


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers, four to ten of them, from `low` to `high`."""
    step = 10 ** math.floor(math.log10((high - low) / 4))
    for factor in (1, 2, 5):
        if (high - low) / (step * factor) <= 8:
            step *= factor
            break
    first = math.ceil(low / step)
    return [round(number * step, 6) for number in range(first, math.floor(high / step) + 1)]


def _text(image: np.ndarray, text: str, corner: tuple[int, int], size: float,
          anchor: str = 'left') -> None:
    """Write `text` with its left end, right end or centre at a pixel."""
    width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0]
    x = corner[0] - {'left': 0, 'centre': width // 2, 'right': width}[anchor]
    cv2.putText(image, text, (x, corner[1]), cv2.FONT_HERSHEY_SIMPLEX, size, _INK, 1, cv2.LINE_AA)
