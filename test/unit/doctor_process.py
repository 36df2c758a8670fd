"""Running `rdk-yolo doctor` as a process, and reading what it prints as JSON."""

import json
import os
from pathlib import Path
import subprocess
import sys
import time

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
# On a machine that is busy with a whole test run; the doctor's own limit is shorter.
LIMIT_S = 110


def examined(*arguments, **environment):
    """Run the doctor in a process of its own, measuring for a moment only."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, '-m', 'rdk_yolo_ros.cli', 'doctor', '--no-topics', '--seconds', '0.2',
         '--limit', str(LIMIT_S - 10), *map(str, arguments)],
        capture_output=True, text=True, timeout=LIMIT_S + 40, stdin=subprocess.DEVNULL,
        env={**os.environ, 'RDK_YOLO_ONNX_THREADS': '1', 'PYTHONPATH': PYTHONPATH,
             **environment})
    assert time.monotonic() - began < LIMIT_S + 20
    assert 'Traceback' not in done.stderr
    return done


def report_of(done):
    """Return the report that `--json` printed."""
    return json.loads(done.stdout)


def findings_of(report, check):
    """Return the findings of one check."""
    return [finding for finding in report['findings'] if finding['check'] == check]
