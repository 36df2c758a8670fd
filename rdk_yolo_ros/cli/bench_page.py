"""The report of rdk-yolo bench as one HTML file: table and charts, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

# Colours that people who see red and green alike can tell apart (Okabe and Ito).
_STAGE_COLOURS = {'convert': '#56b4e9', 'letterbox': '#e69f00', 'wait': '#999999',
                  'infer': '#0072b2', 'decode': '#009e73', 'publish': '#cc79a7'}
_OTHER_COLOUR = '#d55e00'
_COLUMNS = (('slots', 'threads'), ('latency', 'ms'), ('p50', 'ms'), ('p95', 'ms'),
            ('throughput', 'frames/s'), ('CPUs', 'busy'), ('memory', 'MB'), ('BPU', '%'))
_WIDTH = 640
_STYLE = '''
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --line: #ccc; --soft: #666; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #181a1b; --line: #444; --soft: #aaa; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
       max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
small, figcaption { color: var(--soft); } figure { margin: 1.5rem 0; overflow-x: auto; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 13px sans-serif; }
svg .grid { stroke: var(--line); } .box { border-left: 4px solid #d55e00; padding: .2rem 1rem; }
'''


def page(report: dict[str, Any]) -> str:
    """
    Return the report as HTML.

    Args:
        report: what `rdk-yolo bench --json` prints.

    """
    measured = report['measurements']
    bottleneck = report['bottleneck']
    title = f'{report["model"]} on {report["runtime"]}'
    advice = ''.join(f'<li>{escape(text)}</li>' for text in bottleneck['advice'])
    publish = ('not measured (no ROS, or a model that classifies)'
               if report['publish_ms'] is None else
               f'{report["publish_ms"]:.2f} ms for such a result, measured by itself')
    failures = ''.join(
        f'<p>{one["slots"]} slot(s): {one["failed"]} frame(s) failed: {escape(one["error"])}</p>'
        for one in measured if one['failed'])
    return f'''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>{escape(report["task"])}, input {escape(report["input"])}, images {escape(report["image"])}
({escape(report["source"])}), {report["objects"]} object(s) in the first;
{report["seconds"]:g} s for each number of slots.<br>
<small>{escape(report["machine"])}; rdk_yolo_ros {escape(report["rdk_yolo_bench"])},
{escape(report["time"])}</small></p>
<div class="box">
<p><strong>Bottleneck: {escape(bottleneck["name"])}</strong>: {escape(bottleneck["why"])}.</p>
<ol>{advice}</ol>
</div>
<h2>Throughput and latency</h2>
{_table(measured)}
{failures}
<figure>{_bars("Frames a second", [(one["slots"], one["fps"]) for one in measured])}
<figcaption>Frames a second over the number of slots.</figcaption></figure>
<h2>Where the time goes</h2>
<figure>{_stages(measured)}
<figcaption>Mean milliseconds of a frame, from its arrival to its result. Wait is for a place in
the runtime and for the results of earlier frames. Publish: {escape(publish)}.</figcaption>
</figure>
</body>
</html>
'''


def _table(measured: Sequence[dict[str, Any]]) -> str:
    head = ''.join(f'<th>{name}<br><small>{unit}</small></th>' for name, unit in _COLUMNS)
    rows = []
    for one in measured:
        latency = one['latency_ms']
        cells = [str(one['slots']), *(f'{latency[key]:.1f}' for key in ('mean', 'p50', 'p95')),
                 f'{one["fps"]:.1f}',
                 '-' if one['cpus'] is None else f'{one["cpus"]:.2f}',
                 '-' if one['memory'] is None else f'{one["memory"] / 1e6:.0f}',
                 '-' if one['bpu_use'] is None else f'{one["bpu_use"]:.0f}']
        rows.append('<tr>' + ''.join(f'<td>{cell}</td>' for cell in cells) + '</tr>')
    return (f'<table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>')


def _bars(label: str, values: Sequence[tuple[int, float]]) -> str:
    """Return upright bars, one for each number of slots."""
    height, bottom, top, left = 240, 200, 30, 50
    highest = max(value for _, value in values) or 1.0
    step = (_WIDTH - left) / len(values)
    bar = min(90.0, 0.6 * step)
    parts = []
    for i, (slots, value) in enumerate(values):
        tall = (bottom - top) * value / highest
        centre = left + (i + 0.5) * step
        parts.append(f'<rect x="{centre - bar / 2:.1f}" y="{bottom - tall:.1f}" '
                     f'width="{bar:.1f}" height="{tall:.1f}" fill="{_STAGE_COLOURS["infer"]}"/>'
                     f'<text x="{centre:.1f}" y="{bottom - tall - 8:.1f}" '
                     f'text-anchor="middle">{value:.1f}</text>'
                     f'<text x="{centre:.1f}" y="{bottom + 20}" text-anchor="middle">'
                     f'{slots} slot{"" if slots == 1 else "s"}</text>')
    return (f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" '
            f'aria-label="{escape(label)}"><line class="grid" x1="{left}" y1="{bottom}" '
            f'x2="{_WIDTH}" y2="{bottom}"/>{"".join(parts)}</svg>')


def _stages(measured: Sequence[dict[str, Any]]) -> str:
    """Return a bar for each number of slots, made of its stages, and a legend."""
    row, left, right = 44, 70, 90
    longest = max(sum(one['stages_ms'].values()) for one in measured) or 1.0
    scale = (_WIDTH - left - right) / longest
    names = list(dict.fromkeys(stage for one in measured for stage in one['stages_ms']))
    parts, y = [], 40.0
    for one in measured:
        x = float(left)
        parts.append(f'<text x="{left - 10}" y="{y + 18:.0f}" text-anchor="end">{one["slots"]} '
                     f'slot{"" if one["slots"] == 1 else "s"}</text>')
        for stage in names:
            duration = max(0.0, one['stages_ms'].get(stage, 0.0))
            wide = duration * scale
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.0f}" width="{wide:.1f}" height="26" '
                f'fill="{_STAGE_COLOURS.get(stage, _OTHER_COLOUR)}"><title>{escape(stage)} '
                f'{duration:.2f} ms</title></rect>')
            x += wide
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 18:.0f}">'
                     f'{sum(one["stages_ms"].values()):.1f} ms</text>')
        y += row
    legend, x = [], float(left)
    for stage in names:
        legend.append(f'<rect x="{x:.0f}" y="8" width="12" height="12" '
                      f'fill="{_STAGE_COLOURS.get(stage, _OTHER_COLOUR)}"/>'
                      f'<text x="{x + 17:.0f}" y="19">{escape(stage)}</text>')
        x += 34 + 8 * len(stage)
    return (f'<svg viewBox="0 0 {_WIDTH} {y:.0f}" width="{_WIDTH}" role="img" '
            f'aria-label="Milliseconds by stage">{"".join(legend)}{"".join(parts)}</svg>')
