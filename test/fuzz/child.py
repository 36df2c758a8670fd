"""
Fuzzes one target in this process: `child.py TARGET --seconds S --seed N --note FILE`.

The input that is being tried is in the note all the time, so that whoever started this process
finds it there when it crashes, hangs or ends with an uncaught exception.
"""

from __future__ import annotations

import argparse
import ast
import faulthandler
import json
import logging
import os
from pathlib import Path
import resource
import sys
import time
from typing import Any
import warnings

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from target import Target, load

# What one input may need on top of what the target needs once it is loaded.
MEMORY = 1 << 30
# What all the inputs may leave behind.
GROWTH = 200 << 20
# hypothesis keeps every example of a round in memory.
ROUND = 300
LONGEST_MESSAGE = 2000
# Seconds for inputs that are made up, however long the kept ones took.
LEAST = 2.0


class Attempts:
    """Tries inputs, one at a time, and counts what becomes of them."""

    def __init__(self, target: Target, note: Path) -> None:
        """Open the note."""
        self.target = target
        self.taken = self.refused = 0
        self.failing = False
        self._note = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def __call__(self, example: Any) -> None:
        """Try one input; raises what is no documented refusal."""
        text = repr(example).encode('utf-8', 'surrogatepass')
        os.ftruncate(self._note, 0)
        os.pwrite(self._note, text, 0)
        # Ends the process from a thread of its own, whatever holds the interpreter's lock.
        faulthandler.dump_traceback_later(self.target.limit, exit=True)
        try:
            self.target.run(example)
        except self.target.refusals as error:
            _check_message(str(error))
            self.refused += 1
        except BaseException:
            self.failing = True
            raise
        else:
            self.taken += 1
        finally:
            faulthandler.cancel_dump_traceback_later()


def _check_message(message: str) -> None:
    assert message, 'a refusal without a word'
    assert len(message) <= LONGEST_MESSAGE, f'a message of {len(message)} characters'
    assert message.isprintable(), f'a message that is not one line of text: {message!r}'


class _Format(logging.Handler):
    """Formats what the package logs, so that a record that cannot be formatted is a failure."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def _fuzz(attempts: Attempts, end: float, seed: int) -> None:
    while time.monotonic() < end:
        @hypothesis.seed(seed)
        @settings(max_examples=ROUND, database=None, deadline=None, print_blob=False,
                  phases=(Phase.generate, Phase.shrink), suppress_health_check=list(HealthCheck))
        @given(attempts.target.examples)
        def one_round(example: Any) -> None:
            # A failure is made smaller, however late it is.
            if attempts.failing or time.monotonic() < end:
                attempts(example)

        one_round()
        seed += 1


def _status(key: str) -> int:
    """Return a figure of /proc/self/status in bytes."""
    line = next(line for line in Path('/proc/self/status').read_text().splitlines()
                if line.startswith(key))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Try the seeds, then what hypothesis makes up until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('target')
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--note', type=Path, required=True)
    parser.add_argument('--folder', type=Path, default=Path(__file__).parent,
                        help='where the target and its seeds are')
    parser.add_argument('--replay', type=Path, help='a file with the one input to try')
    given_ = parser.parse_args()

    end = time.monotonic() + given_.seconds
    faulthandler.enable()
    logging.basicConfig(handlers=[_Format()], level=logging.DEBUG)
    warnings.simplefilter('error', RuntimeWarning)
    sys.path.insert(0, str(given_.folder))
    target = load(given_.target)
    limit = _status('VmSize') + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    attempts = Attempts(target, given_.note)
    if given_.replay is not None:
        attempts(ast.literal_eval(given_.replay.read_text()))
        return
    for path in sorted((given_.folder / 'seeds' / given_.target).glob('*.txt')):
        attempts(ast.literal_eval(path.read_text()))
    for example in target.explicit:
        attempts(example)
    before = _status('VmRSS')
    _fuzz(attempts, max(end, time.monotonic() + LEAST), given_.seed)
    growth = _status('VmRSS') - before
    assert growth < GROWTH, f'{growth >> 20} MB more than before'
    print(json.dumps({'taken': attempts.taken, 'refused': attempts.refused,
                      'peak_mb': _status('VmHWM') >> 20}))


if __name__ == '__main__':
    main()
