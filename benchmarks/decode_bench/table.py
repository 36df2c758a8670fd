"""The figures as lines of text, each beside its bar."""

from __future__ import annotations

from typing import Optional

import numpy as np

from benchmarks.decode_bench.cases import Measured

_WAYS = ('ours', 'plain', 'board')
HEADER = (f'  {"":23}{"":>5}' + ''.join(f'{way + " ms":^16}' for way in _WAYS)
          + f'{"of plain":^14}{"of board":^14}{"memory MB":^14}\n'
          f'  {"case":23}{"obj.":>5}' + f'{"median":>8}{"p99":>8}' * 3
          + f'{"ratio":>8}{"bar":>6}' * 2 + f'{"peak":>8}{"bar":>6}')


def line(measured: Measured) -> str:
    """Return a measured line; '-' for what is not there."""
    text = f'  {measured.case.name:23}{measured.objects:5}'
    for way in _WAYS:
        if way in measured.seconds:
            text += ''.join(f'{number:8.3f}' for number in milliseconds(measured, way))
        else:
            text += f'{"-":>8}' * 2
    for way in ('plain', 'board'):
        text += _or_dash(measured.ratio(way), 8) + _or_dash(measured.bar(way), 6)
    for number, width in ((measured.peak, 8), (measured.memory_bar, 6)):
        text += _or_dash(None if number is None else number / 1e6, width)
    return text + (f'  MISSED: {", ".join(measured.missed)}' if measured.missed else '')


def milliseconds(measured: Measured, way: str) -> tuple[float, float]:
    """Return median and p99 of a way's time."""
    seconds = measured.seconds[way] * 1e3
    return float(np.median(seconds)), float(np.percentile(seconds, 99))


def _or_dash(number: Optional[float], width: int) -> str:
    return f'{"-":>{width}}' if number is None else f'{number:{width}.2f}'
