"""Which runtimes can be used here, and what a model does on each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
import time
from typing import Any, Optional

from rdk_yolo_ros.cli.checks import golden
from rdk_yolo_ros.cli.checks.board import Board
from rdk_yolo_ros.cli.checks.child import ChildReport, run_child
from rdk_yolo_ros.cli.checks.finding import NOT_APPLICABLE, OK, PROBLEM, WARNING, Finding
from rdk_yolo_ros.cli.checks.probe import MARK
from rdk_yolo_ros.runtimes import RUNTIMES

_MODULE = 'rdk_yolo_ros.cli.checks.probe'
_SUFFIXES = {'onnx': ('.onnx',), 'libdnn': ('.bin',), 'hbm': ('.hbm', '.bin'),
             'pyeasy_dnn': ('.bin',)}
_LOOK_LIMIT_S = 20.0
# Which package brings which interface, by the vendor's documentation.
_INSTALL = {'X3': 'sudo apt install hobot-dnn', 'X5': 'sudo apt install hobot-dnn hobot-spdev',
            'S100': 'sudo apt install hobot-dnn', 'S600': 'sudo apt install hobot-dnn'}


@dataclass
class Trial:
    """
    A model's trial on every runtime that takes it.

    Attributes:
        usable: the runtimes that can be used here, in the order in which `auto` prefers them.
        reports: what came of each that was tried.

    """

    usable: list[str]
    reports: dict[str, ChildReport]


def check_runtimes(board: Board, trial: Trial) -> Iterator[Finding]:
    """Yield a finding for each runtime, and note in `trial` which can be used."""
    left = list(RUNTIMES)
    while left:
        # One process for all of them, and another for the rest where one takes it down.
        report = run_child(_MODULE, [json.dumps({'runtimes': left})], MARK, _LOOK_LIMIT_S)
        for step in report.steps:
            if step['event'] != 'runtime':
                continue
            name, reason = step['runtime'], step['missing']
            left.remove(name)
            if reason is None:
                trial.usable.append(name)
            yield Finding('runtime', OK if reason is None else NOT_APPLICABLE,
                          f'{name}: {reason or "can be used"}', details={'runtime': name})
        if left:
            yield Finding('runtime', PROBLEM, f'{left.pop(0)}: looking for it failed: '
                          + (report.fate or _last(report)), 'the library may be broken or of '
                          'another board: install it anew, and report it with this output',
                          lines=report.output)
    if board.is_rdk and not set(trial.usable) - {'onnx'}:
        install = _INSTALL.get(board.family or '', 'sudo apt install hobot-dnn')
        yield Finding('runtime', PROBLEM, 'no runtime for the BPU can be used on this board',
                      f"install the vendor's packages ({install}), and use the Python that they "
                      'are for: /usr/bin/python3, no virtual environment without system packages')
    elif not board.is_rdk and not trial.usable:
        yield Finding('runtime', PROBLEM, 'no runtime can be used here',
                      'pip install onnxruntime')


def try_model(model: str, suffix: str, trial: Trial, slots: Sequence[int], seconds: float,
              recorded: Optional[dict[str, Any]], limit: float) -> None:
    """
    Run a model on every usable runtime, each in its own process; fills `trial.reports`.

    Speed is measured on the first runtime, which `auto` chooses; the others show that they work.

    Args:
        model: the model file or work configuration.
        suffix: of the model file.
        trial: its `usable` says what to try.
        slots: the numbers of slots to measure.
        seconds: how long to measure each.
        recorded: the result to compare with later, or None.
        limit: seconds for all of it.

    """
    end = time.monotonic() + limit
    for name in trial.usable:
        if suffix not in _SUFFIXES.get(name, ()):
            continue
        first = not trial.reports
        task = {'runtime': name, 'model': model, 'frame': None, 'seconds': seconds,
                'slots': list(slots) if first else [max(slots)],
                'score_threshold': recorded and recorded['score_threshold']}
        trial.reports[name] = run_child(_MODULE, [json.dumps(task)], MARK,
                                        end - time.monotonic())


def check_model(path: Path, trial: Trial) -> Iterator[Finding]:
    """Yield what the model is, as each runtime tells it."""
    size = path.stat().st_size
    yield Finding('model', OK, f'{path.name}, {size / 1e6:.2f} MB, SHA-256 '
                  f'{golden.sha256(path)[:16]}…', details={'name': path.name, 'bytes': size,
                                                           'sha256': golden.sha256(path)})
    if not trial.reports:
        yield Finding('model', PROBLEM,
                      f'no runtime that can be used here takes {path.suffix} files',
                      'on a PC, give the .onnx file of the same network; on a board, see the '
                      'runtimes above')
    shown = False
    for name, report in trial.reports.items():
        opened, heads = report.step('opened'), report.step('heads')
        if opened is not None:
            yield Finding('model', OK, f'{name}: opened in {opened["seconds"]:.2f} s, '
                          f'{opened["slots"]} slot(s)',
                          lines=() if shown else tuple(opened['describe'].splitlines()),
                          details={'runtime': name, **opened})
        if heads is not None and not shown:
            yield Finding('heads', OK, f'{heads["task"]}, recognised on {name}', lines=tuple(
                f'{what}: {words}' for what, words in heads['rows'] if what != 'task'),
                details={'runtime': name, 'task': heads['task'], 'rows': heads['rows']})
            shown = True
        yield from _failure(name, report)


def _failure(name: str, report: ChildReport) -> Iterator[Finding]:
    error = report.step('error')
    reached = report.steps[-1]['event'] if report.steps else 'nothing'
    where = {'opened': 'recognising the heads', 'heads': 'inferring the first frame',
             'golden': 'measuring', 'speed': 'measuring'}.get(reached, 'opening the model')
    if report.fate:
        yield Finding('model', PROBLEM, f'{name}: {where}: {report.fate}',
                      'check that the model was compiled for this board (X3 bernoulli2, X5 '
                      'bayes-e, S100 nash-e or nash-m, S600 nash-p) and this OS; report it with '
                      'this output', lines=report.output)
    elif error is not None:
        yield Finding('model', PROBLEM, f'{name}: {error["message"]}', lines=report.output)


def check_golden(path: Path, trial: Trial, recorded: Optional[dict[str, Any]],
                 same_frame: bool) -> Iterator[Finding]:
    """Yield how the golden frame's result on each runtime compares with the recorded one."""
    results = {name: step for name, report in trial.reports.items()
               if (step := report.step('golden')) is not None}
    if not results:
        yield Finding('golden frame', NOT_APPLICABLE, 'no runtime has run it')
        return
    if recorded is None:
        count = len(next(iter(results.values()))['instances'])
        yield Finding('golden frame', NOT_APPLICABLE,
                      f'{count} object(s) found; there is no recorded result for {path.name}',
                      'to compare with a PC: there `rdk-yolo doctor MODEL.onnx --record '
                      'FILE`, here `--golden FILE`')
    elif not same_frame:
        yield Finding('golden frame', WARNING, 'the result was recorded on another frame',
                      'record it anew with this version of the package')
    else:
        yield from _compare_with_record(path, results, recorded)
    yield from _compare_with_each_other(results)


def _compare_with_record(path: Path, results: dict[str, dict[str, Any]],
                         recorded: dict[str, Any]) -> Iterator[Finding]:
    same = golden.sha256(path) == recorded['model_sha256']
    if not same and path.suffix == '.onnx' and path.name == recorded['model']:
        yield Finding('golden frame', WARNING, f'the result was recorded with another '
                      f'{path.name}', 'record it anew: `rdk-yolo doctor MODEL.onnx --record FILE`')
    for name, result in results.items():
        words = golden.differences(recorded, result['task'], result['instances'],
                                   golden.SAME_NETWORK if same else golden.QUANTIZED)
        details = {'runtime': name, 'recorded_with': recorded['model'],
                   'instances': result['instances'], 'differences': words}
        count = len(result['instances'])
        if words:
            yield Finding('golden frame', PROBLEM, f'{name}: {len(words)} difference(s) from '
                          f'what {recorded["model"]} found on a PC',
                          'look at the colour range (`nv12_range`, how the model was compiled) '
                          'and at the quantization; report it with this output',
                          lines=tuple(words), details=details)
        else:
            how = 'within what one network allows' if same else 'within what 8 bits allow'
            yield Finding('golden frame', OK, f'{name}: {count} object(s), as '
                          f'{recorded["model"]} found on a PC, {how}', details=details)


def _compare_with_each_other(results: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    first, *others = results
    expected = {'task': results[first]['task'], 'score_threshold': 0.0,
                'instances': results[first]['instances']}
    threshold = min((one['score'] for one in expected['instances']), default=0.0)
    for name in others:
        words = golden.differences({**expected, 'score_threshold': threshold},
                                   results[name]['task'], results[name]['instances'],
                                   golden.SAME_NETWORK)
        if words:
            yield Finding('golden frame', PROBLEM,
                          f'{name} and {first} find different things with the same file',
                          'report it with this output; until then, set `runtime` to the one that '
                          'is right', lines=tuple(words))
        else:
            yield Finding('golden frame', OK, f'{name} and {first} find the same')


def check_speed(trial: Trial) -> Iterator[Finding]:
    """Yield latency and throughput for each number of slots."""
    for name, report in trial.reports.items():
        steps = [step for step in report.steps if step['event'] == 'speed']
        if not steps:
            continue
        lines = tuple(f'{step["slots"]} slot(s): {step["latency_ms"]["mean"]:.1f} ms '
                      f'(p95 {step["latency_ms"]["p95"]:.1f}), {step["fps"]:.1f} frames/s'
                      + (f', {step["cpus"]:.1f} CPUs' if step['cpus'] is not None else '')
                      + (f', BPU {step["bpu_use"]:.0f} %' if step['bpu_use'] is not None else '')
                      for step in steps)
        best = max(steps, key=lambda step: step['fps'])
        failed = sum(step['failed'] for step in steps)
        details = {'runtime': name, 'measurements': [
            {key: value for key, value in step.items() if key != 'event'} for step in steps]}
        summary = f'{name}: {best["fps"]:.1f} frames/s on {best["slots"]} slot(s)'
        if failed:
            yield Finding('speed', PROBLEM, f'{summary}; {failed} frame(s) failed: '
                          f'{next(step["error"] for step in steps if step["failed"])}',
                          'report it with this output', lines, details)
        else:
            yield Finding('speed', OK, summary, lines=lines, details=details)


def _last(report: ChildReport) -> str:
    error = report.step('error')
    return error['message'] if error else (report.output or ('without a word',))[-1]
