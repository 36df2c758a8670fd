"""rdk-yolo doctor: check a board, a model and a camera, and say what to do."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
import json
import os
from pathlib import Path
import sys
import time
from typing import Any, Optional

from rdk_yolo_ros.cli.checks import golden
from rdk_yolo_ros.cli.checks.board import Board, read_board
from rdk_yolo_ros.cli.checks.clocks import check_clocks
from rdk_yolo_ros.cli.checks.finding import (
    NOT_APPLICABLE,
    OK,
    PROBLEM,
    WARNING,
    Finding,
    run_check,
)
from rdk_yolo_ros.cli.checks.machine import check_machine, check_software, package_version
from rdk_yolo_ros.cli.checks.privacy import Redaction
from rdk_yolo_ros.cli.checks.runtimes import (
    Trial,
    check_golden,
    check_model,
    check_runtimes,
    check_speed,
    try_model,
)
from rdk_yolo_ros.cli.checks.topics import check_topics
from rdk_yolo_ros.cli.model_argument import config_of
from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.share import find_file
from rdk_yolo_ros.work_config import WorkConfig

_DEMO = 'models/demo_pose.onnx'
_SLOTS = (1, 2, 3, 4)
# For everything but the measurements, whose length the user sets.
_LIMIT_S = 50.0
_QUICK_S = 10.0
# The loss of images shows within the watch's 5 seconds.
_LISTEN_S = 6.0
# Where the vendor's systems have models, by the package hobot-models-basic.
_BOARD_MODELS = ('opt/hobot/model', 'app/model')
_MARKS = {OK: 'ok', WARNING: 'WARNING', PROBLEM: 'PROBLEM', NOT_APPLICABLE: '-'}


def add_command(commands: Any) -> None:
    """Add the subcommand to the parser's."""
    parser = commands.add_parser(
        'doctor', help='check this machine, a model and the camera, and say what to do',
        description='Check this machine, its runtimes, a model and the camera topics in about '
                    'half a minute, and print a report that can be pasted into an issue: without '
                    'host and user names, addresses and home folders. The exit code is 0 if no '
                    'problem was found, else 1.')
    parser.add_argument('model', metavar='MODEL', nargs='?',
                        help='a model file or work configuration; default: a demo model, on the '
                             'CPU')
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    parser.add_argument('--topics', action=argparse.BooleanOptionalAction, default=True,
                        help='look at the image topics, where ROS is sourced')
    parser.add_argument('--seconds', type=_seconds, default=1.5, metavar='N',
                        help='length of each speed measurement, up to 60 (default 1.5)')
    parser.add_argument('--limit', type=_limit, metavar='N',
                        help='seconds for all the checks, up to 600 (default 50 and the speed '
                             'measurements); what is not reached by then is left out')
    parser.add_argument('--golden', metavar='FILE',
                        help='compare the golden frame with a result that --record wrote')
    parser.add_argument('--record', metavar='FILE',
                        help='run MODEL on the golden frame, write what it finds, and stop')
    parser.add_argument('--root', metavar='FOLDER', default='/', help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 60:
        raise argparse.ArgumentTypeError(f'{text} is not more than 0 and at most 60')
    return value


def _limit(text: str) -> float:
    value = float(text)
    if not 5 <= value <= 600:
        raise argparse.ArgumentTypeError(f'{text} is not from 5 to 600')
    return value


def run(arguments: argparse.Namespace) -> int:
    """
    Check everything and print the report; return 0 if there is no problem, else 1.

    Raises:
        RdkYoloError: what the command line names cannot be used.

    """
    if arguments.record:
        return _record(arguments)
    began = time.monotonic()
    findings = Doctor(arguments).examine()
    redaction = Redaction()
    report = redaction.data({
        'rdk_yolo_doctor': package_version(),
        'time': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'seconds': round(time.monotonic() - began, 1),
        'verdict': _verdict(findings),
        'findings': [finding.as_mapping() for finding in findings]})
    print(json.dumps(report, indent=2, ensure_ascii=False) if arguments.json else text(report))
    code = int(any(finding.status == PROBLEM for finding in findings))
    sys.stdout.flush()
    return code


class Doctor:
    """
    Does the checks one after the other, within one limit for all.

    Args:
        arguments: the command line.

    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._root = Path(arguments.root)
        self._board: Optional[Board] = None
        limit = arguments.limit or _LIMIT_S + len(_SLOTS) * arguments.seconds
        self._end = time.monotonic() + limit
        self._trial = Trial([], {})

    def examine(self) -> list[Finding]:
        """
        Return what was found.

        Raises:
            RdkYoloError: what the command line names cannot be used.

        """
        config = self._config()
        recorded = self._recorded(config)
        board = read_board(self._root)
        findings = self._check('machine', lambda: check_machine(board, self._root))
        findings += self._check('software', lambda: check_software(self._root))
        findings += self._check('clocks', lambda: check_clocks(board, self._root))
        findings += self._check('runtime', lambda: check_runtimes(board, self._trial), 60.0)
        if config is not None:
            findings += self._check_model(config, recorded)
        findings += self._given_model(board, config)
        if self._arguments.topics:
            findings += self._check('topics', lambda: check_topics(
                os.environ, max(_LISTEN_S, self._arguments.seconds), self._left()), 90.0)
        return findings

    def _left(self) -> float:
        return self._end - time.monotonic()

    def _check(self, name: str, check: Callable[[], Iterable[Finding]],
               limit: float = _QUICK_S) -> list[Finding]:
        left = self._left()
        if left < 1.0:
            return [Finding(name, WARNING, 'not checked: the checks before it took too long',
                            'run the doctor once more when the machine is less busy')]
        return run_check(name, check, min(limit, left + 5.0))

    def _config(self) -> Optional[WorkConfig]:
        if self._arguments.model is not None:
            return config_of(self._arguments.model)
        try:
            return config_of(str(find_file(_DEMO)))
        except FileNotFoundError:  # installed without the demo models
            return None

    def _recorded(self, config: Optional[WorkConfig]) -> Optional[dict[str, Any]]:
        if self._arguments.golden:
            return golden.load(Path(self._arguments.golden).expanduser())
        shipped = None if config is None else golden.shipped_for(config.model_file)
        return None if shipped is None else golden.load(shipped)

    def _check_model(self, config: WorkConfig,
                     recorded: Optional[dict[str, Any]]) -> list[Finding]:
        path, trial = config.model_file, self._trial
        argument = self._arguments.model or str(path)
        same_frame: list[bool] = []

        def trying() -> Iterable[Finding]:
            if recorded is not None:
                same_frame.append(golden.is_recorded_on(recorded, golden.golden_frame()))
            # The topics need a part of the time, too.
            reserve = _LISTEN_S + 10.0 if self._arguments.topics else 0.0
            try_model(argument, path.suffix.lower(), trial, _SLOTS, self._arguments.seconds,
                      recorded, self._left() - reserve)
            return ()

        findings = self._check('model', trying, 600.0)
        findings += self._check('model', lambda: check_model(path, trial))
        if trial.reports:
            findings += self._check('golden frame', lambda: check_golden(
                path, trial, recorded, bool(same_frame and same_frame[0])))
            findings += self._check('speed', lambda: check_speed(trial))
        return findings

    def _given_model(self, board: Board, config: Optional[WorkConfig]) -> list[Finding]:
        """Return a warning where the BPU was not tried for want of a model."""
        suffix = config.model_file.suffix.lower() if config is not None else ''
        if not board.is_rdk or suffix in ('.bin', '.hbm'):
            return []
        models = sorted(path for folder in _BOARD_MODELS for path in
                        (self._root / folder).glob('**/*yolo*') if path.suffix in ('.bin', '.hbm'))
        example = f'/{models[0].relative_to(self._root)}' if models else 'MODEL.bin (S: .hbm)'
        return [Finding('model', WARNING, 'the BPU was not tried: no model for it was given',
                        f'rdk-yolo doctor {example}')]


def _verdict(findings: list[Finding]) -> dict[str, Any]:
    counts = {status: sum(finding.status == status for finding in findings)
              for status in (PROBLEM, WARNING, OK, NOT_APPLICABLE)}
    words = f'{counts[PROBLEM]} problem(s)' if counts[PROBLEM] else 'no problem found'
    if counts[WARNING]:
        words += f', {counts[WARNING]} warning(s)'
    return {'problems': counts[PROBLEM], 'warnings': counts[WARNING], 'summary': words,
            'to_do': list(dict.fromkeys(
                f'{finding.check}: {finding.advice}' for status in (PROBLEM, WARNING)
                for finding in findings if finding.status == status and finding.advice))}


def text(report: dict[str, Any]) -> str:
    """Return a report, as `--json` prints it, as text."""
    lines = [f'rdk-yolo doctor {report["rdk_yolo_doctor"]}, {report["time"]}, took '
             f'{report["seconds"]:.0f} s', '']
    for finding in report['findings']:
        lines.append(f'{_MARKS[finding["status"]]:<8}{finding["check"]}: {finding["summary"]}')
        lines += [f'          {line}' for line in finding.get('lines', ())]
        if finding.get('advice') and finding['status'] == NOT_APPLICABLE:
            lines.append(f'          -> {finding["advice"]}')
    verdict = report['verdict']
    lines += ['', f'verdict: {verdict["summary"]}']
    lines += [f'  {number}. {advice}' for number, advice in enumerate(verdict['to_do'], 1)]
    return '\n'.join(lines)


def _record(arguments: argparse.Namespace) -> int:
    config = config_of(arguments.model or str(find_file(_DEMO)))
    with Predictor.from_config(config) as predictor:
        result = golden.record(predictor, golden.golden_frame())
    path = Path(arguments.record).expanduser()
    try:
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + '\n',
                        encoding='utf-8')
    except OSError as error:
        raise RdkYoloError(f'{path} cannot be written: {error.strerror}') from None
    print(f'{path}: {len(result["instances"])} object(s) that {result["model"]} finds in the '
          'golden frame')
    return 0
