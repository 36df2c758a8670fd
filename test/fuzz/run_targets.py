"""
`make fuzz`: every target in a process of its own, FUZZ_SECONDS (300) in all.

What fails is left in fuzz_out/ as a file, which `--replay` tries again; once mended it belongs
into seeds/, where it is tried first each time.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time
from typing import Any, Optional

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))
from target import TARGETS  # noqa: E402

OUT = ROOT / 'fuzz_out'
# To load a target, to try its explicit inputs, to make a failure smaller.
_EXTRA_S = 400.0
_LINES_OF_TRACE = 25


@dataclass(frozen=True)
class Outcome:
    """
    What became of one target.

    Attributes:
        figures: inputs `taken` and `refused`, and the largest resident memory, `peak_mb`.
        failure: what went wrong, with the end of the trace; None for nothing.
        example: the input that did it, as text.

    """

    figures: dict[str, Any]
    failure: Optional[str] = None
    example: str = ''


def run_target(name: str, seconds: float, seed: int,
               options: Sequence[Any] = ()) -> Outcome:
    """Fuzz one target in a process of its own."""
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get('PYTHONPATH', '')]))}
    with tempfile.TemporaryDirectory(prefix='fuzz_') as folder:
        note, errors = Path(folder, 'note'), Path(folder, 'errors')
        with errors.open('wb') as stream:
            try:
                process = subprocess.run(
                    [sys.executable, str(HERE / 'child.py'), name, '--seconds', str(seconds),
                     '--seed', str(seed), '--note', str(note), *map(str, options)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stream,
                    env=environment, cwd=ROOT, timeout=seconds + _EXTRA_S, check=False)
                code, output = process.returncode, process.stdout.decode()
            except subprocess.TimeoutExpired:
                code, output = 1, ''
        if code == 0:
            return Outcome(json.loads(output.splitlines()[-1]) if output else {})
        trace = errors.read_text(errors='replace').splitlines()
        how = f'signal {-code}' if code < 0 else f'exit code {code}'
        return Outcome({}, '\n'.join([f'{name}: {how}', *trace[-_LINES_OF_TRACE:]]),
                       note.read_text(errors='surrogateescape') if note.exists() else '')


def main() -> int:
    """Fuzz the targets one after another; return 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('targets', nargs='*', default=TARGETS, metavar='TARGET',
                        help=', '.join(TARGETS))
    parser.add_argument('--replay', type=Path, metavar='FILE',
                        help='try the one input in FILE, of the target TARGET')
    given = parser.parse_args()
    if given.replay is not None:
        outcome = run_target(given.targets[0], 0, 0, ['--replay', given.replay.resolve()])
        print(outcome.failure or 'nothing wrong')
        return int(outcome.failure is not None)
    seconds = float(os.environ.get('FUZZ_SECONDS') or 300) / len(given.targets)
    seed = int(os.environ.get('FUZZ_SEED') or time.time())
    failed = False
    for name in given.targets:
        outcome = run_target(name, seconds, seed)
        if outcome.failure is None:
            figures = outcome.figures
            print(f'{name:18} {figures["taken"]:7} inputs taken, {figures["refused"]:7} refused '
                  f'in {seconds:.0f} s; {figures["peak_mb"]} MB', flush=True)
            continue
        failed = True
        OUT.mkdir(exist_ok=True)
        path = OUT / f'{name}-{seed}.txt'
        path.write_text(outcome.example, errors='surrogateescape')
        again = Path(__file__).resolve().relative_to(ROOT)
        kept = path.relative_to(ROOT)
        print(f'{outcome.failure}\n{name}: the input is in {kept}; again with '
              f'python3 {again} {name} --replay {kept}', flush=True)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
