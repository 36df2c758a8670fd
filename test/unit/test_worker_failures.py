"""What goes wrong in a worker process is told, given up in time, and made good."""

import errno
import os
from pathlib import Path
import signal
import subprocess
import time

from bpu_stand_ins import (
    HW,
    assert_recorded,
    grey,
    is_running,
    recorded_model,
    some_tensors,
    stand_in_model,
    wait_until,
    worker_command_lines,
)
import pytest

from rdk_yolo_ros.errors import InferenceTimeoutError, ModelError, RuntimeLostError
from rdk_yolo_ros.runtimes import RuntimeOptions, open_runtime

pytestmark = pytest.mark.usefixtures('bpu_libraries')


@pytest.fixture
def model(tmp_path):
    return recorded_model(tmp_path / 'model.bin')


@pytest.fixture(params=['pyeasy_dnn', 'hbm'])
def opened(request, model):
    """Return what opens the model with one of the runtimes."""
    return lambda **options: open_runtime(model, request.param, options=RuntimeOptions(**options))


def run_again(runtime, seconds=30):
    """Run until it succeeds: a worker that starts again may not be ready at once."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return runtime.run(grey())
        except RuntimeLostError:
            raise
        except ModelError:
            if time.monotonic() > deadline:
                raise


def test_a_hung_inference_is_given_up_and_its_slot_works_again(opened, model):
    with opened(slots=1, timeout=0.5) as runtime:
        pid, = runtime.worker_pids
        stand_in_model.steer(model, 'forward', 'hang')
        start = time.monotonic()
        with pytest.raises(InferenceTimeoutError, match=r'no result after 0\.5 s'):
            runtime.run(grey())
        assert 0.5 <= time.monotonic() - start < 2
        assert not is_running(pid)
        assert_recorded(run_again(runtime))
        assert runtime.worker_pids != [pid]


def test_a_crash_fails_one_call_and_a_failure_no_worker(opened, model):
    with opened(slots=1, timeout=30) as runtime:
        pids = runtime.worker_pids
        stand_in_model.steer(model, 'forward', 'fail', 'ok', 'crash', 'exit')
        with pytest.raises(ModelError, match='told to fail'):
            runtime.run(grey())
        assert_recorded(runtime.run(grey()))
        assert runtime.worker_pids == pids
        with pytest.raises(ModelError, match='exit code 139'):
            runtime.run(grey())
        # What is no error of the library's, as SystemExit, ends a worker, too.
        assert wait_until(lambda: runtime.worker_pids not in ([], pids), 30)
        with pytest.raises(ModelError, match=r'\(exit code 1\)'):
            runtime.run(grey())
        assert_recorded(run_again(runtime))


def test_a_worker_that_was_killed_is_started_again(opened, model):
    with opened(slots=1) as runtime:
        os.kill(runtime.worker_pids[0], signal.SIGKILL)
        with pytest.raises(ModelError, match='SIGKILL'):
            runtime.run(grey())
        assert_recorded(run_again(runtime))


def test_workers_that_cannot_be_started_again_are_a_lost_runtime(opened, model):
    with opened(slots=1) as runtime:
        stand_in_model.steer(model, 'load', 'crash', 'crash', 'fail')
        stand_in_model.steer(model, 'forward', 'crash')
        with pytest.raises(ModelError, match='ended during an inference'):
            runtime.run(grey())
        with pytest.raises(RuntimeLostError, match=r'3 times: .*told to fail'):
            run_again(runtime)
        with pytest.raises(RuntimeLostError):
            runtime.run(grey())
        assert runtime.worker_pids == []


def test_a_model_that_was_exchanged_is_not_run(opened, model):
    with opened(slots=1) as runtime:
        stand_in_model.write_recorded_model(model, some_tensors(channels=52), HW, 0.0)
        os.kill(runtime.worker_pids[0], signal.SIGKILL)
        with pytest.raises(RuntimeLostError, match='another one'):
            run_again(runtime)


def test_an_interrupted_call_does_not_leave_its_answer_to_the_next(opened, monkeypatch):
    with opened(slots=1) as runtime:
        pid, = runtime.worker_pids
        with monkeypatch.context() as patch:
            def interrupted(*arguments):
                raise KeyboardInterrupt
            patch.setattr('rdk_yolo_ros.runtimes.worker_process.receive', interrupted)
            with pytest.raises(KeyboardInterrupt):
                runtime.run(grey())
        assert not is_running(pid)
        assert_recorded(run_again(runtime))


def fail_until_lost(runtime):
    """Return how many inferences failed before the runtime was lost, and why it was."""
    failures = 0
    while failures < 50:
        try:
            runtime.run(grey())
        except RuntimeLostError as error:
            return failures, str(error)
        except InferenceTimeoutError as error:
            # While a worker starts again, nothing is run that could fail.
            failures += 'no result' in str(error)
        except ModelError:
            failures += 1
    return failures, 'never'


@pytest.mark.parametrize(('word', 'said'), [
    ('none', 'output'), ('fail', 'told to fail'), ('crash', 'exit code 139'),
    ('hang', 'no result after')])
def test_failure_after_failure_loses_the_runtime(opened, model, word, said):
    timeout = 0.3 if word == 'hang' else 30
    with opened(slots=1, timeout=timeout) as runtime:
        stand_in_model.steer(model, 'forward', *[word] * 50)
        failures, error = fail_until_lost(runtime)
        assert failures == 3
        assert '4 inferences have failed in a row' in error
        assert said in error
        steering = Path(f'{model}.forward')
        left = steering.read_text()
        with pytest.raises(RuntimeLostError):
            runtime.run(grey())
        # Neither was anything run again, nor a worker started that could run it.
        assert steering.read_text() == left
        assert left.split() == [word] * 46


def test_a_success_between_failures_keeps_the_runtime(opened, model):
    with opened(slots=1, timeout=30) as runtime:
        stand_in_model.steer(model, 'forward', *['fail', 'fail', 'fail', 'ok'] * 3)
        for _ in range(3):
            for _ in range(3):
                with pytest.raises(ModelError, match='told to fail'):
                    runtime.run(grey())
            assert_recorded(runtime.run(grey()))


# What the system refuses

def test_no_process_left_is_a_model_error(opened, model, monkeypatch):
    def refused(*arguments, **options):
        raise BlockingIOError(errno.EAGAIN, 'Resource temporarily unavailable')
    monkeypatch.setattr(subprocess, 'Popen', refused)
    with pytest.raises(ModelError, match='a worker process cannot be started .*temporarily '
                       'unavailable.*ulimit -u'):
        opened(slots=1)


def test_no_memory_left_is_a_model_error_and_leaves_nothing(opened, model, monkeypatch):
    def refused(fd, size):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(os, 'ftruncate', refused)
    with pytest.raises(ModelError, match='memory of 1 slots cannot be had .*No space.*free -m'):
        opened(slots=1)
    assert worker_command_lines() == []


def test_a_worker_that_ends_before_it_is_given_the_memory_is_a_model_error(opened, monkeypatch):
    def broken(*arguments):
        raise BrokenPipeError(errno.EPIPE, 'Broken pipe')
    monkeypatch.setattr('socket.send_fds', broken)
    with pytest.raises(ModelError, match='ended after it had loaded the model .*dmesg'):
        opened(slots=1)
    assert worker_command_lines() == []
