"""rdk-yolo bench: throughput and latency of a model over slots, by stage, and what limits it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from importlib import util
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

from rdk_yolo_ros.cli.bench_page import page
from rdk_yolo_ros.cli.bottleneck import Bottleneck, find_bottleneck
from rdk_yolo_ros.cli.checks.board import read_board
from rdk_yolo_ros.cli.checks.child import run_child
from rdk_yolo_ros.cli.checks.clocks import bpu_use
from rdk_yolo_ros.cli.checks.machine import os_release, package_version
from rdk_yolo_ros.cli.checks.privacy import Redaction
from rdk_yolo_ros.cli.measuring import STAGES, Measured, measure
from rdk_yolo_ros.cli.model_argument import config_of, options_of
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.errors import FrameError, ModelError, RdkYoloError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources import conform, open_source
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.runtimes import RUNTIMES, open_runtime

_MOST_SLOTS = 32
_IMAGES = 8
_PUBLISH_MODULE = 'rdk_yolo_ros.nodes.publish_cost'
_PUBLISH_MARK = '@rdk-yolo-bench '
_PUBLISH_LIMIT_S = 30.0


def add_command(commands: Any) -> None:
    """Add the subcommand to the parser's."""
    parser = commands.add_parser(
        'bench', help='measure throughput and latency of a model over slots',
        description='Keep a number of frames under way and measure frames a second, latency, its '
                    'stages, CPU and memory; name what limits it.')
    parser.add_argument('model', metavar='MODEL', help='a model file or work configuration')
    parser.add_argument('--runtime', choices=('auto', *RUNTIMES))
    parser.add_argument('--slots', type=int, nargs='+', default=[1, 2, 4], metavar='N',
                        help='frames under way at once; several are measured one after the '
                             'other (default 1 2 4)')
    parser.add_argument('--seconds', type=float, default=5.0, metavar='N',
                        help='length of each measurement, up to 600 (default 5)')
    parser.add_argument('--source', default='synthetic', metavar='SOURCE',
                        help='synthetic, or a picture, folder of pictures, video or bag '
                             '(default synthetic); its first images are used')
    parser.add_argument('--size', type=_size, default=(1280, 720), metavar='WxH',
                        help='size of the camera image (default 1280x720)')
    parser.add_argument('--html', metavar='FILE', help='write a report with charts, one file')
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    parser.set_defaults(run=run)


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(part) for part in text.lower().split('x'))
    except ValueError:
        width = height = 0
    if not (2 <= width <= 8192 and 2 <= height <= 8192) or width % 2 or height % 2:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no size, expected WIDTHxHEIGHT, even numbers up to 8192')
    return width, height


def run(arguments: argparse.Namespace) -> int:
    """
    Measure, print, and write the page.

    Raises:
        RdkYoloError: the model, the source or an argument cannot be used.

    """
    slots = sorted(set(arguments.slots))
    if not 1 <= slots[0] <= slots[-1] <= _MOST_SLOTS:
        raise RdkYoloError(f'--slots {" ".join(map(str, slots))}: expected numbers from 1 to '
                           f'{_MOST_SLOTS}')
    if not 0 < arguments.seconds <= 600:
        raise RdkYoloError(f'--seconds {arguments.seconds:g}: expected more than 0, at most 600')
    path = Path(arguments.html).expanduser() if arguments.html else None
    if path is not None:
        _write(path, '')  # what cannot be written is better known before than after
    report = Redaction().data(measure_all(arguments, slots))
    if path is not None:
        _write(path, page(report))
    print(json.dumps(report, indent=2, ensure_ascii=False) if arguments.json else text(report))
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding='utf-8')
    except OSError as error:
        raise RdkYoloError(f'--html {path} cannot be written: {error.strerror}') from None


def measure_all(arguments: argparse.Namespace, slots: Sequence[int]) -> dict[str, Any]:
    """
    Return the report's data.

    Raises:
        RdkYoloError: the model or the source cannot be used, or no frame came out.

    """
    config = config_of(arguments.model)
    images = read_images(arguments.source, *arguments.size)
    with open_runtime(config.model_file, arguments.runtime or config.runtime, config.nv12_range,
                      options_of(config, slots[-1])) as runtime:
        predictor = Predictor.from_config(config, runtime)
        found = predictor(Frame.from_image(images[0]))
        measured = [measure(predictor, images, count, arguments.seconds, bpu_use)
                    for count in slots]
        publish = _publish_cost(found, arguments.size)
        cpus = os.cpu_count() or 1
        bottleneck = find_bottleneck(runtime.name, _with_publish(measured, publish), cpus)
        return {
            'rdk_yolo_bench': package_version(),
            'time': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
            'machine': _machine(cpus), 'model': config.model_file.name, 'task': predictor.task,
            'runtime': runtime.name, 'runtime_slots': runtime.slots,
            'input': f'{runtime.input_hw[1]}x{runtime.input_hw[0]}',
            'image': f'{arguments.size[0]}x{arguments.size[1]} NV12',
            'source': 'synthetic' if arguments.source == 'synthetic'
            else Path(arguments.source).name,
            'objects': len(found), 'seconds': arguments.seconds,
            'measurements': [asdict(one) for one in measured], 'publish_ms': publish,
            'bottleneck': asdict(bottleneck)}


def _with_publish(measured: Sequence[Measured], publish: Optional[float]) -> list[Measured]:
    if publish is None:
        return list(measured)
    return [replace(one, stages_ms={**one.stages_ms, 'publish': publish}) for one in measured]


def read_images(source: str, width: int, height: int) -> list[SimpleNamespace]:
    """
    Return the first images of a source as a camera would publish them: NV12, of one size.

    Raises:
        RdkYoloError: the source cannot be read, or has no good image.

    """
    opened = open_source(source, width, height)
    images: list[SimpleNamespace] = []
    bad: Optional[FrameError] = None
    try:
        for _ in range(2 * _IMAGES):
            try:
                image = opened.read()
            except FrameError as error:
                bad = error
                continue
            if image is None or len(images) == _IMAGES:
                break
            planes = conform(image.frame, 'nv12', width, height, 'full').to_nv12()
            images.append(SimpleNamespace(encoding='nv12', height=height, width=width,
                                          step=width, data=planes))
    finally:
        opened.close()
    if not images:
        raise ModelError(f'source {source!r} has no image that can be read'
                         + (f': {bad}' if bad else ''))
    return images


def _machine(cpus: int) -> str:
    board = read_board()
    name = board.model or (f'RDK {board.family}' if board.family else os.uname().machine)
    return f'{name}, {cpus} CPUs, {os_release().get("PRETTY_NAME", "an unknown system")}'


def _publish_cost(found: Any, size: tuple[int, int]) -> Optional[float]:
    """Return what publishing such detections takes, ms; None where ROS is not there."""
    if util.find_spec('rclpy') is None or not isinstance(found, Detections):
        return None
    arguments = ['--instances', str(len(found)), '--size', f'{size[0]}x{size[1]}',
                 '--mark', _PUBLISH_MARK]
    if found.keypoints is not None:
        arguments += ['--keypoints', str(found.keypoints.shape[1])]
    if found.masks is not None:
        arguments.append('--mask')
    step = run_child(_PUBLISH_MODULE, arguments, _PUBLISH_MARK, _PUBLISH_LIMIT_S).step('end')
    return None if step is None else step['milliseconds']


def text(report: dict[str, Any]) -> str:
    """Return a report, as `--json` prints it, as text."""
    lines = [f'{report["model"]} ({report["task"]}) on {report["runtime"]}, input '
             f'{report["input"]}, images {report["image"]} with {report["objects"]} object(s)',
             f'{report["machine"]}; rdk_yolo_ros {report["rdk_yolo_bench"]}, {report["time"]}',
             '']
    rows = [header(), *table(report)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines += ['  '.join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows]
    for one in report['measurements']:
        if one['failed']:
            lines.append(f'{one["slots"]} slot(s): {one["failed"]} frame(s) failed: '
                         f'{one["error"]}')
    lines += ['', publish_words(report)]
    bottleneck = Bottleneck(**report['bottleneck'])
    lines.append(f'bottleneck: {bottleneck.name} ({bottleneck.why})')
    lines += [f'  {number}. {advice}' for number, advice in enumerate(bottleneck.advice, 1)]
    return '\n'.join(lines)


def publish_words(report: dict[str, Any]) -> str:
    """Return what publishing takes, or why that is not known."""
    if report['publish_ms'] is None:
        return ('publish: not measured (no ROS is sourced, or the model classifies); stages are '
                'mean ms')
    return (f'publish: {report["publish_ms"]:.2f} ms for such a result, measured by itself; '
            'stages are mean ms')


def header() -> list[str]:
    """Return the table's header; latencies and stages in milliseconds."""
    return ['slots', 'latency', 'p50', 'p95', 'FPS', *STAGES, 'CPUs', 'memory MB', 'BPU %']


def table(report: dict[str, Any]) -> list[list[str]]:
    """Return the table's rows."""
    rows = []
    for one in report['measurements']:
        latency = one['latency_ms']
        rows.append([
            str(one['slots']), *(f'{latency[key]:.1f}' for key in ('mean', 'p50', 'p95')),
            f'{one["fps"]:.1f}', *(f'{one["stages_ms"].get(stage, 0.0):.2f}' for stage in STAGES),
            _or_dash(one['cpus'], '.2f'),
            _or_dash(one['memory'] and one['memory'] / 1e6, '.0f'),
            _or_dash(one['bpu_use'], '.0f')])
    return rows


def _or_dash(value: Optional[float], form: str) -> str:
    return '-' if value is None else format(value, form)
