"""Worker processes end when they should, and start with as little as possible."""

import os
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

from bpu_stand_ins import (
    STAND_INS,
    assert_recorded,
    grey,
    is_running,
    recorded_model,
    stand_in_model,
    wait_until,
    worker_command_lines,
)
import pytest

from rdk_yolo_ros.errors import ModelError
from rdk_yolo_ros.runtimes import RuntimeOptions, open_runtime

pytestmark = pytest.mark.usefixtures('bpu_libraries')


@pytest.fixture
def model(tmp_path):
    return recorded_model(tmp_path / 'model.bin')


def opened(path, **options):
    return open_runtime(path, 'pyeasy_dnn', options=RuntimeOptions(**options))


def test_ctrl_c_leaves_the_workers_alone(model):
    with opened(model, slots=1) as runtime:
        pid, = runtime.worker_pids
        os.kill(pid, signal.SIGINT)
        assert_recorded(runtime.run(grey()))
        assert runtime.worker_pids == [pid]
        assert os.getsid(pid) == pid


def test_close_ends_a_call_that_hangs_and_those_that_wait(model):
    runtime = opened(model, slots=1, timeout=60)
    pid, = runtime.worker_pids
    stand_in_model.steer(model, 'forward', 'hang')
    errors = []

    def call():
        try:
            runtime.run(grey())
        except ModelError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    steering = Path(f'{model}.forward')
    assert wait_until(lambda: not steering.read_text(), 10)
    start = time.monotonic()
    runtime.close()
    assert time.monotonic() - start < 1
    for thread in threads:
        thread.join(5)
    assert len(errors) == 2
    assert all('closed' in error for error in errors)
    assert not is_running(pid)
    runtime.close()
    with pytest.raises(ModelError, match='closed'):
        runtime.run(grey())


def test_a_runtime_that_nobody_closes_leaves_nothing(model):
    runtime = opened(model, slots=1)
    pid, = runtime.worker_pids
    del runtime
    assert wait_until(lambda: not is_running(pid), 5)


PARENT = """
import os, sys, time
sys.path[:0] = {path!r}
from rdk_yolo_ros.runtimes import RuntimeOptions, open_runtime
import numpy as np
runtime = open_runtime({model!r}, 'pyeasy_dnn', options=RuntimeOptions(slots=2, timeout={timeout}))
child = os.fork() if {forks} else 0
if {forks} and child == 0:
    time.sleep(60)
    os._exit(0)
print(child, *runtime.worker_pids, flush=True)
sys.stdin.readline()
runtime.run(np.full((96, 96), 128, np.uint8))
"""


@pytest.mark.parametrize(('does', 'seconds'), [('waits', 2), ('hangs', 5), ('forks', 4)])
def test_workers_end_with_their_parent(model, does, seconds):
    hangs = does == 'hangs'
    # A forked process holds the parent's sockets, so that their end tells the workers nothing.
    script = PARENT.format(path=[str(STAND_INS), *filter(None, sys.path)], model=str(model),
                           timeout=0.5 if hangs else 60, forks=does == 'forks')
    parent = subprocess.Popen([sys.executable, '-c', script], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    child, pids = 0, []
    try:
        child, *pids = [int(text) for text in parent.stdout.readline().split()]
        assert len(pids) == 2
        if hangs:
            stand_in_model.steer(model, 'forward', 'hang')
            parent.stdin.write('\n')
            parent.stdin.flush()
            steering = Path(f'{model}.forward')
            assert wait_until(lambda: not steering.read_text(), 30)
        parent.kill()
        parent.wait(5)
        assert wait_until(lambda: not any(map(is_running, pids)), seconds)
    finally:
        parent.kill()
        for pid in filter(is_running, [child, *pids] if child else pids):
            os.kill(pid, signal.SIGKILL)
        parent.communicate(timeout=10)


def test_a_model_that_cannot_be_loaded_leaves_no_worker(model):
    stand_in_model.steer(model, 'load', 'crash')
    with pytest.raises(ModelError, match=r'ended while it loaded the model \(exit code 139\)'):
        opened(model, slots=1)
    stand_in_model.steer(model, 'load', 'fail')
    with pytest.raises(ModelError, match=r'load\(\) failed'):
        opened(model, slots=1)
    assert worker_command_lines() == []


def test_a_worker_starts_without_what_it_does_not_need():
    code = ('import sys, rdk_yolo_ros.runtimes.worker_main, rdk_yolo_ros.runtimes.pyeasy_model, '
            'rdk_yolo_ros.runtimes.hbm_model; print(*sys.modules)')
    modules = subprocess.run([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True,
                             timeout=60, check=True).stdout.split()
    assert 'numpy' in modules
    assert not {'cv2', 'onnxruntime', 'yaml', 'rclpy'} & set(modules)
