"""Run a module in a process of its own and take its steps, whatever becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
from dataclasses import dataclass
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any, Optional

# What a library wrote last says more than what it wrote first.
_KEPT_LINES = 12


@dataclass(frozen=True)
class ChildReport:
    """
    What came of a child process.

    Attributes:
        steps: what it said, a mapping each, its 'event' in it.
        fate: how it ended if not by itself, in words; empty where it did.
        output: the last lines that it or a library in it wrote besides.

    """

    steps: tuple[dict[str, Any], ...]
    fate: str
    output: tuple[str, ...]

    def step(self, event: str) -> Optional[dict[str, Any]]:
        """Return the first step of that name, or None."""
        return next((step for step in self.steps if step['event'] == event), None)


def run_child(module: str, arguments: Sequence[str], mark: str, limit: float,
              environment: Optional[dict[str, str]] = None) -> ChildReport:
    """
    Run `python -m module` for `limit` seconds at the most.

    Args:
        module: the module.
        arguments: its arguments.
        mark: what a line with a step, as JSON, begins with.
        limit: seconds; then it is killed, with every process that it started.
        environment: variables besides this process's own.

    """
    package = str(Path(__file__).resolve().parents[3])
    path = os.pathsep.join(filter(None, [package, os.environ.get('PYTHONPATH', '')]))
    # A session of its own: a runtime may have worker processes, which are ended with it.
    process = subprocess.Popen(
        [sys.executable, '-m', module, *arguments], stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, 'PYTHONPATH': path, 'PYTHONUNBUFFERED': '1', **(environment or {})})
    fate = ''
    try:
        out, err = process.communicate(timeout=max(0.1, limit))
    except subprocess.TimeoutExpired:
        fate = f'it had not ended after {limit:.0f} s and was stopped'
        _kill(process)
        out, err = _rest(process)
    finally:
        _kill(process)
    steps, other = _parted(out.decode('utf-8', 'replace'), mark)
    if not fate and process.returncode < 0:
        fate = f'it crashed ({_signal_name(-process.returncode)})'
    elif not fate and not any(step['event'] in ('end', 'error') for step in steps):
        fate = f'it ended early with exit code {process.returncode}'
    lines = [*other, *err.decode('utf-8', 'replace').splitlines()]
    return ChildReport(tuple(steps), fate, tuple(
        line[:300] for line in lines if line.strip())[-_KEPT_LINES:])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process's whole session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _rest(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    """Return what a killed process wrote."""
    try:
        return process.communicate(timeout=5.0)
    except subprocess.TimeoutExpired:  # in a system call that does not return
        return b'', b''


def _parted(text: str, mark: str) -> tuple[list[dict[str, Any]], list[str]]:
    steps, other = [], []
    for line in text.splitlines():
        try:
            step = json.loads(line[len(mark):]) if line.startswith(mark) else None
        except ValueError:  # cut off in the middle
            step = None
        if isinstance(step, dict) and 'event' in step:
            steps.append(step)
        elif not line.startswith(mark):
            other.append(line)
    return steps, other


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f'signal {number}'
