"""Every fuzz target for a moment, its seeds included, with the same inputs each time."""

from pathlib import Path
import sys

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from run_targets import run_target  # noqa: E402
from target import ROS_TARGETS, TARGETS  # noqa: E402

# Results are this package's own.
NEVER_REFUSES = ('cdr_writer',)
SEEDS = Path(__file__).parent / 'seeds'


@pytest.mark.parametrize('name', TARGETS)
def test_nothing_but_documented_refusals(name):
    pytest.importorskip('rclpy' if name in ROS_TARGETS else 'onnx')
    outcome = run_target(name, seconds=4.0, seed=0)
    assert outcome.failure is None, f'{outcome.failure}\n{outcome.example[:2000]}'
    assert outcome.figures['taken'] > 0
    assert outcome.figures['refused'] > 0 or name in NEVER_REFUSES


def test_every_folder_of_seeds_is_a_target_s():
    assert {path.name for path in SEEDS.iterdir() if path.is_dir()} <= set(TARGETS)


@pytest.mark.parametrize(('deed', 'sign'), [
    ('raise ValueError("unexpected")', 'ValueError: unexpected'),
    ('raise FrameError("two\\nlines")', 'not one line of text'),
    ('import time; time.sleep(60)', 'Timeout'),
    ('os.kill(os.getpid(), 11)', 'signal 11'),
    ('bytes(3 << 30)', 'MemoryError')])
def test_what_goes_wrong_is_found_with_its_input(tmp_path, deed, sign):
    (tmp_path / 'numbers_to_20.py').write_text(f'''
import os
from hypothesis import strategies as st
from rdk_yolo_ros.errors import FrameError
from target import Target


def run(number):
    if number > 20:
        {deed}


TARGET = Target(st.integers(0, 1000), run, (FrameError,), limit=1.0)
''')
    outcome = run_target('numbers_to_20', seconds=3.0, seed=0, options=['--folder', tmp_path])
    assert sign in outcome.failure
    assert int(outcome.example) > 20


def test_seeds_and_explicit_inputs_are_tried_first(tmp_path):
    (tmp_path / 'odd_numbers.py').write_text('''
from hypothesis import strategies as st
from rdk_yolo_ros.errors import FrameError
from target import Target


def run(number):
    assert number % 2


TARGET = Target(st.just(1), run, (FrameError,), explicit=(3, 5))
''')
    assert run_target('odd_numbers', 0.5, 0, ['--folder', tmp_path]).failure is None
    seeds = tmp_path / 'seeds' / 'odd_numbers'
    seeds.mkdir(parents=True)
    (seeds / 'even.txt').write_text('4')
    outcome = run_target('odd_numbers', 0.5, 0, ['--folder', tmp_path])
    assert 'AssertionError' in outcome.failure
    assert outcome.example == '4'
