"""docs/soak.md: how the run is made, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.soak.figures import BURST, LATENCY_BAR, LOSS_BAR, MEMORY_BAR, Figures

_PAGE = """\
# The nodes for an hour

<!-- made by `make soak`; edit benchmarks/soak/page.py -->

`make soak` runs the source node ({width}x{height} NV12, {rate:g} images a second) and the YOLO
node (demo {task} model, ONNX Runtime) as processes of their own, listens to the detections in a
third one, and looks at both processes every second. It takes 10 minutes, or an hour with
`make soak SOAK_MINUTES=60`. The record is in `bench_out/soak/`.

- **Memory** is the resident set as `/proc/PID/smaps_rollup` counts it, heap and libraries, without
  shared memory: the segments of DDS have a fixed size, 16 MB for each process that sends, and
  a page of them becomes resident in a reader when an image first happens to lie on it, so that
  they reach that size in steps and no further. The slope is that of the lowest value in every
  10 s, as images on their way (3 MB each) come and go and what is not given back stays; it is
  Theil and Sen's, the median of the slopes between every two of these. The heap alone (anonymous
  pages) is given, too: a leak shows there first.
- **Latency** is from the image's stamp to the receipt of its detections. It grows when the median
  of the last third's minutes is more than {latency_bar:g} times that of the first third.
- **Threads and descriptors** (files, sockets) must not be more in the last third than in the
  first.
- The warm-up, a fifth of the run and ten minutes at most, is left out everywhere. It begins with
  half a minute at {burst:g} times the rate: what a busy moment needs (one image waits while
  another is worked on) is allocated then, and not as a step of 3 MB at some later time.

![memory and latency over time](images/soak.png)

Measured on a {machine}: {seconds:.1f} minutes, of which {warm_up:.1f} are warm-up{ended}.

| after the warm-up | yolo | source | bar |
|---|---|---|---|
{rows}

{results}

{verdict}
"""


def write_page(path: Path, found: Figures, facts: Mapping[str, Any], ended: str) -> None:
    """Write the page; `ended`: why the run ended before its time, or an empty text."""
    path.write_text(page(found, facts, ended), encoding='utf-8')


def page(found: Figures, facts: Mapping[str, Any], ended: str) -> str:
    """Return the page's text."""
    return _PAGE.format(
        **{name: facts[name] for name in ('width', 'height', 'rate', 'task', 'machine')},
        latency_bar=LATENCY_BAR, burst=BURST, seconds=found.seconds / 60,
        warm_up=found.warm_up_s / 60,
        ended=f'; broken off: {ended}' if ended else '',
        rows='\n'.join(f'| {" | ".join(row)} |' for row in _rows(found)),
        results='\n'.join(f'- {sentence}' for sentence in summary(found)), verdict=verdict(found))


def _rows(found: Figures) -> list[tuple[str, ...]]:
    nodes = sorted(found.nodes, key=lambda one: one.node != 'yolo')

    def row(name: str, cells: list[str], bar: str = '') -> tuple[str, ...]:
        return (name, *cells, bar)

    return [
        row('resident, first third to last, MB',
            ['{:.2f} to {:.2f}'.format(*one.resident_mb) for one in nodes]),
        row('without shared memory, MB',
            ['{:.2f} to {:.2f}'.format(*one.own_mb) for one in nodes]),
        row('slope of that, MB an hour', [f'{one.slope:+.3f}' for one in nodes],
            f'{MEMORY_BAR:g}'),
        row("the heap's slope, MB an hour", [f'{one.heap_slope:+.3f}' for one in nodes]),
        row('threads, first third to last', ['{} to {}'.format(*one.threads) for one in nodes],
            'no more'),
        row('descriptors, first third to last',
            ['{} to {}'.format(*one.descriptors) for one in nodes], 'no more'),
        row('processors busy', [f'{one.cpus:.2f}' for one in nodes])]


def summary(found: Figures) -> list[str]:
    """Return the results' figures in sentences."""
    return [
        f'{found.rate:.2f} results a second.',
        'From stamp to receipt {:.1f} / {:.1f} / {:.1f} ms p50 / p95 / p99 (medians of the '
        'minutes), at most {:.0f} ms.'.format(*found.latency_ms),
        "The first third's median is {:.2f} ms, the last third's {:.2f} ms: "
        '{:.3f} times it (bar {:g}).'.format(*found.latency_thirds_ms, found.latency_growth,
                                             LATENCY_BAR),
        f'The longest time between two results is {found.gap_ms:.0f} ms.',
        f'Of {found.images} images {found.dropped} were dropped for a newer one, {found.lost} '
        f'lost by the middleware (bar {LOSS_BAR:.0%}), {found.failed} failed (bar 0).']


def verdict(found: Figures) -> str:
    """Return which bars are missed, or that none is."""
    return f'MISSED: {"; ".join(found.missed)}.' if found.missed else 'Every bar holds.'
