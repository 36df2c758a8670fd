"""What goes wrong in libdnn is told, given up in time, and leaves nothing behind."""

import logging
import os
import subprocess
import sys
import time

import libdnn_cases
from libdnn_cases import MARGIN, OUTPUTS, echo, eventually, noise, opened, recorded, sees
import numpy as np
import pytest

from rdk_yolo_ros.errors import FrameError, InferenceTimeoutError, ModelError, RuntimeLostError
from rdk_yolo_ros.runtimes import libdnn, libdnn_abi

RUN_TASK_FAILED, INVALID_HANDLE = -6000012, -6000005


@pytest.fixture
def stand_in(monkeypatch):
    with libdnn_cases.stand_in_in_use(monkeypatch) as control:
        yield control


@pytest.mark.parametrize('nv12', [np.zeros((48, 32), np.uint8), np.zeros((48, 64), np.int8),
                                  b'image'], ids=['shape', 'dtype', 'no array'])
def test_another_image_is_a_frame_error(tmp_path, stand_in, nv12):
    with opened(recorded(tmp_path / 'm.bin')) as runtime:
        with pytest.raises(FrameError, match='NV12'):
            runtime.run(nv12)
        with runtime.slot() as slot, pytest.raises(FrameError, match='NV12'):
            slot.infer(nv12)
        assert stand_in.counts().tasks == 0


OPENING = [f for f in libdnn_abi.FUNCTIONS if f.startswith(('hbDNNGet', 'hbDNNInitialize'))]


@pytest.mark.parametrize(('function', 'call'), [
    *((function, 1) for function in OPENING), ('hbDNNGetOutputName', OUTPUTS),
    ('hbDNNGetOutputTensorProperties', 2),
    *(('hbSysAllocCachedMem', call) for call in (1, 2, 5, 6, 20))])
def test_a_call_that_fails_while_opening_leaves_nothing(tmp_path, stand_in, function, call):
    path = recorded(tmp_path / 'm.bin')
    stand_in.fail(function, first=call, code=-6000007)
    with pytest.raises(ModelError) as caught:
        opened(path)
    message = str(caught.value)
    assert message.startswith(f'{path}: {function}')
    assert '-6000007 (HB_DNN_OUT_OF_MEMORY)' in message
    assert stand_in.counts().live == libdnn_cases.NOTHING


@pytest.mark.parametrize(('function', 'call'), [
    ('hbSysFlushMem', 1), ('hbSysFlushMem', 2), ('hbSysFlushMem', 1 + OUTPUTS),
    ('hbDNNInfer', 1), ('hbDNNWaitTaskDone', 1), ('task', 1)])
def test_a_call_that_fails_is_told_and_the_next_inference_works(tmp_path, stand_in, function,
                                                                call):
    with opened(recorded(tmp_path / 'm.bin'), slots=1) as runtime:
        stand_in.fail(function, first=call, code=RUN_TASK_FAILED)
        with pytest.raises(ModelError) as caught:
            runtime.run(noise(0))
        assert type(caught.value) is ModelError
        told = 'hbDNNWaitTaskDone' if function == 'task' else function
        assert f'{told} failed with {RUN_TASK_FAILED} (HB_DNN_RUN_TASK_FAILED)' \
            in str(caught.value)
        assert len(runtime.run(noise(1))) == OUTPUTS


@pytest.mark.parametrize('function', ['hbDNNReleaseTask', 'hbDNNRelease', 'hbSysFreeMem'])
def test_letting_go_never_raises(tmp_path, stand_in, caplog, function):
    runtime = opened(recorded(tmp_path / 'm.bin'))
    stand_in.fail(function, code=-6000015)
    with caplog.at_level(logging.WARNING):
        runtime.run(noise(0))
        runtime.close()
    assert f'{function} failed with -6000015 (HB_DNN_API_USE_ERROR)' in caplog.text


def test_an_inference_that_hangs_is_given_up_and_the_next_one_works(tmp_path, stand_in):
    path = echo(tmp_path / 'm.bin', stand_in, latency=0.02)
    with opened(path, slots=1, timeout=0.8) as runtime:
        with runtime.slot() as slot:
            place = slot.image.ctypes.data
        stand_in.fail('hang')
        started = time.monotonic()
        with pytest.raises(InferenceTimeoutError) as caught:
            runtime.run(noise(0))
        assert 0.8 <= time.monotonic() - started < 0.8 + MARGIN
        assert 'in 0.8 s' in str(caught.value)
        assert 'HB_DNN_TIMEOUT' in str(caught.value)
        assert runtime.timeouts == 1
        assert stand_in.counts().live_tasks == 0
        # The task writes its outputs later: not where others read theirs, nor to nowhere.
        with runtime.slot() as slot:
            assert slot.image.ctypes.data != place
        assert stand_in.counts().live_blocks == 2 * (1 + 1)
        assert all(sees(runtime, seed) for seed in range(1, 4))
        assert eventually(lambda: stand_in.counts().completed == 4)


def test_a_slow_inference_that_ends_after_its_time_harms_nobody(tmp_path, stand_in):
    path = echo(tmp_path / 'm.bin', stand_in, latency=1.5, concurrency=1)
    with opened(path, slots=2, timeout=0.3) as runtime:
        for seed in range(2):
            with pytest.raises(InferenceTimeoutError):
                runtime.run(noise(seed))
    counts = stand_in.counts()
    assert counts.writes_to_freed == 0
    assert counts.live == libdnn_cases.NOTHING


def test_a_slot_whose_inference_was_given_up_is_to_be_left(tmp_path, stand_in):
    stand_in.fail('hang')
    with opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=0.5) as runtime:
        with runtime.slot() as slot:
            with pytest.raises(InferenceTimeoutError):
                slot.infer(noise(0))
            with pytest.raises(ModelError, match='leave the slot'):
                slot.infer(noise(0))
        runtime.run(noise(0))


def test_where_no_other_memory_is_left_the_place_is_tried_again(tmp_path, stand_in):
    stand_in.fail('hang')
    with opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=0.5) as runtime:
        with pytest.raises(InferenceTimeoutError):
            runtime.run(noise(0))
        stand_in.fail('hbSysAllocCachedMem', first=3, code=-6000130)
        with pytest.raises(ModelError, match='hbSysAllocCachedMem of .*HB_SYS_OUT_OF_MEMORY'):
            runtime.run(noise(0))
        assert len(runtime.run(noise(0))) == OUTPUTS


def test_a_place_that_gets_no_memory_any_more_loses_the_runtime(tmp_path, stand_in):
    stand_in.fail('hang')
    with opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=0.1) as runtime:
        with pytest.raises(InferenceTimeoutError):
            runtime.run(noise(0))
        stand_in.fail('hbSysAllocCachedMem', count=-1, code=-6000130)
        for _ in range(2):
            with pytest.raises(ModelError) as caught:
                runtime.run(noise(0))
            assert type(caught.value) is ModelError
        with pytest.raises(RuntimeLostError, match='HB_SYS_OUT_OF_MEMORY.*4 inferences have'):
            runtime.run(noise(0))


@pytest.mark.parametrize(('fault', 'timeout', 'kind'), [
    ('hang', 0.1, InferenceTimeoutError), ('task', 30, ModelError),
    ('hbDNNInfer', 30, ModelError)])
def test_failure_after_failure_loses_the_runtime(tmp_path, stand_in, fault, timeout, kind):
    with opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=timeout) as runtime:
        stand_in.fail(fault, count=-1, code=RUN_TASK_FAILED)
        for _ in range(3):
            with pytest.raises(kind) as caught:
                runtime.run(noise(0))
            assert type(caught.value) is kind
        with pytest.raises(RuntimeLostError, match='4 inferences have failed in a row'):
            runtime.run(noise(0))
        tasks = stand_in.counts().tasks
        with pytest.raises(RuntimeLostError):
            runtime.run(noise(0))
        assert stand_in.counts().tasks == tasks


def test_a_success_between_failures_keeps_the_runtime(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'm.bin'), slots=1) as runtime:
        for _ in range(6):
            stand_in.fail('task', code=RUN_TASK_FAILED)
            with pytest.raises(ModelError):
                runtime.run(noise(0))
            runtime.run(noise(0))


def test_memory_of_given_up_tasks_is_bounded(tmp_path, stand_in, monkeypatch):
    assert libdnn._MOST_GIVEN_UP * (1 + OUTPUTS) < 64  # blocks of memory
    monkeypatch.setattr(libdnn, '_MOST_GIVEN_UP', 2)
    with opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=1) as runtime:
        stand_in.fail('hang')
        with pytest.raises(InferenceTimeoutError):
            runtime.run(noise(0))
        runtime.run(noise(0))  # in between, so that it is not the failures in a row
        stand_in.fail('hang')
        with pytest.raises(RuntimeLostError, match='2 tasks have been given up'):
            runtime.run(noise(0))


def test_a_model_that_the_library_has_lost_loses_the_runtime_at_once(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'm.bin')) as runtime:
        stand_in.fail('hbDNNInfer', code=INVALID_HANDLE)
        with pytest.raises(RuntimeLostError, match='HB_DNN_INVALID_DNN_HANDLE'):
            runtime.run(noise(0))
        with pytest.raises(RuntimeLostError):
            runtime.run(noise(0))
    with opened(tmp_path / 'm.bin') as runtime:
        assert len(runtime.run(noise(0))) == OUTPUTS


def test_faults_of_another_process_come_from_its_environment(tmp_path, stand_in):
    """How the tests of the node's own process make the stand-in fail."""
    path = recorded(tmp_path / 'm.bin')
    code = ('import sys, numpy as np\n'
            'from rdk_yolo_ros.runtimes.libdnn import LibdnnRuntime\n'
            'with LibdnnRuntime(sys.argv[1]) as runtime:\n'
            '    for _ in range(3):\n'
            '        try: print(len(runtime.run(np.zeros((48, 64), np.uint8))))\n'
            '        except Exception as error: print(error)\n')
    faults = 'hbDNNInfer:2:1:-6000009,hbSysFlushMem:90:1:-1'
    printed = subprocess.run(
        [sys.executable, '-c', code, path], env={**os.environ, 'RDK_STAND_IN_FAULTS': faults},
        stdout=subprocess.PIPE, text=True, timeout=120, check=True).stdout.splitlines()
    assert [printed[0], printed[2]] == [str(OUTPUTS)] * 2
    assert 'hbDNNInfer failed with -6000009' in printed[1]


def test_an_interrupt_during_the_wait_releases_the_task(tmp_path, stand_in, monkeypatch):
    with opened(recorded(tmp_path / 'm.bin', latency=0.2), slots=1) as runtime:
        def interrupted(*arguments):
            raise KeyboardInterrupt
        monkeypatch.setattr(runtime._model, '_wait', interrupted)
        with pytest.raises(KeyboardInterrupt):
            runtime.run(noise(0))
        monkeypatch.undo()
        assert stand_in.counts().live_tasks == 0
        assert len(runtime.run(noise(0))) == OUTPUTS
