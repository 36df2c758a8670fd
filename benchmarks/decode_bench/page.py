"""The table of docs/decode_speed.md, between two marks in a page that people write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.decode_bench.cases import Measured
from benchmarks.decode_bench.table import milliseconds

BEGIN, END = '<!-- made by `make bench-decode` -->', '<!-- end -->'


def write_page(path: Path, measured: Sequence[Measured], machine: str) -> None:
    """
    Replace what is between the marks.

    Raises:
        SystemExit: the page has no such marks, in this order.

    """
    text = path.read_text(encoding='utf-8')
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f'{path}: expected the lines {BEGIN} and {END} around the table')
    path.write_text(f'{before}{begin}\n{markdown(measured, machine)}\n{end}{after}',
                    encoding='utf-8')


def markdown(measured: Sequence[Measured], machine: str) -> str:
    """Return the figures as a Markdown table; a figure over its bar is in bold type."""
    rows = [f'Measured on a {machine}.', '',
            '| case | objects | ours, ms | plain, ms | C++, ms | of plain (bar) | of C++ (bar) '
            '| memory, MB (bar) |', '|---|---|---|---|---|---|---|---|']
    for one in measured:
        cells = [one.case.name, str(one.objects)]
        for way in ('ours', 'plain', 'board'):
            cells.append('{:.3f} / {:.3f}'.format(*milliseconds(one, way))
                         if way in one.seconds else '')
        for way in ('plain', 'board'):
            cells.append(_beside_bar(one.ratio(way), one.bar(way), way in one.missed))
        peak, bar = (None if number is None else number / 1e6
                     for number in (one.peak, one.memory_bar))
        cells.append(_beside_bar(peak, bar, 'memory' in one.missed))
        rows.append(f'| {" | ".join(cells)} |')
    return '\n'.join(rows)


def _beside_bar(number, bar, missed):
    if number is None:
        return ''
    text = f'**{number:.2f}**' if missed else f'{number:.2f}'
    return text if bar is None else f'{text} ({bar:g})'
