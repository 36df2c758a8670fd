"""LibdnnRuntime at work: flushes, threads, closing; and it leaves nothing behind."""

import gc
import threading
import time

import libdnn_cases
from libdnn_cases import (
    HW,
    MARGIN,
    OUTPUTS,
    echo,
    ends_with,
    eventually,
    noise,
    opened,
    recorded,
    sees,
)
import numpy as np
import pytest

from rdk_yolo_ros.errors import InferenceTimeoutError, ModelError
from rdk_yolo_ros.runtimes import libdnn, libdnn_memory


@pytest.fixture
def stand_in(monkeypatch):
    with libdnn_cases.stand_in_in_use(monkeypatch) as control:
        yield control


# The cache

def test_each_inference_sees_its_own_image(tmp_path, stand_in):
    with opened(echo(tmp_path / 'm.bin', stand_in), slots=1) as runtime:
        assert all(sees(runtime, seed) for seed in range(5))


@pytest.mark.parametrize('lacking', ['clean', 'invalidate'])
def test_the_stand_in_shows_stale_data_where_a_flush_is_missing(tmp_path, stand_in, monkeypatch,
                                                                lacking):
    monkeypatch.setattr(libdnn_memory.Buffers, lacking, lambda self: None)
    with opened(echo(tmp_path / 'm.bin', stand_in), slots=1) as runtime:
        assert not sees(runtime, 0)


def test_one_flush_for_the_image_and_one_for_each_output(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'm.bin')) as runtime:
        runtime.run(noise(0))
        runtime.run(noise(1))
    counts = stand_in.counts()
    assert (counts.tasks, counts.cleans, counts.invalidates) == (2, 2, 2 * OUTPUTS)


# Threads

def in_threads(count, work):
    """Run `work(i)` in threads and return how long all of them took, seconds."""
    errors = []

    def guarded(i):
        try:
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(i,), daemon=True) for i in range(count)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert errors == []
    return time.monotonic() - started


def test_four_slots_on_two_tasks_at_once_overlap(tmp_path, stand_in):
    latency = 0.2
    with opened(recorded(tmp_path / 'm.bin', latency), timeout=30) as runtime:
        assert runtime.slots == 4
        took = in_threads(4, lambda i: [runtime.run(noise(i)) for _ in range(2)])
    # 0.8 s if they overlap, 1.6 s or more if each waits for the one before it.
    assert 4 * latency <= took < 8 * latency
    assert 2 < stand_in.counts().most_tasks <= 4


def test_threads_do_not_mix_their_images_up(tmp_path, stand_in):
    with opened(echo(tmp_path / 'm.bin', stand_in, latency=0.001), timeout=30) as runtime:
        in_threads(6, lambda i: [pytest.fail('another image') for n in range(15)
                                 if not sees(runtime, 100 * i + n)])


def test_python_goes_on_while_the_bpu_works(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'm.bin', latency=0.5)) as runtime:
        thread = threading.Thread(target=runtime.run, args=(noise(0),), daemon=True)
        thread.start()
        # With the interpreter's lock held, this thread would see the task only when it is over.
        assert eventually(lambda: stand_in.counts().running == 1)
        thread.join(MARGIN)
        assert not thread.is_alive()


def test_one_more_than_there_are_slots_waits_for_its_turn(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=30) as runtime:
        done = threading.Event()

        def use():
            runtime.run(noise(0))
            done.set()

        with runtime.slot():
            thread = threading.Thread(target=use, daemon=True)
            thread.start()
            assert not done.wait(0.1)
        assert done.wait(MARGIN)
        thread.join(MARGIN)


def test_a_wait_for_a_slot_has_a_limit(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=0.1) as runtime, runtime.slot(), \
            pytest.raises(InferenceTimeoutError, match='none of the 1 slots became free in 0.1 s'):
        runtime.run(noise(0))


def test_more_tasks_than_the_library_takes_fail_in_words(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'a.bin'), slots=32, timeout=30) as first, \
            opened(recorded(tmp_path / 'b.bin'), timeout=30) as second:
        stand_in.fail('hang', count=-1)
        threads = [threading.Thread(target=ends_with, args=([], first), daemon=True)
                   for _ in range(32)]
        for thread in threads:
            thread.start()
        assert eventually(lambda: stand_in.counts().live_tasks == 32)
        with pytest.raises(ModelError, match='HB_DNN_TASK_NUM_EXCEED_LIMIT.*`slots` of all'):
            second.run(noise(0))
        first.close()
        for thread in threads:
            thread.join(30)


# Closing

def test_closing_twice_and_running_afterwards(tmp_path, stand_in):
    runtime = opened(recorded(tmp_path / 'm.bin'))
    runtime.close()
    runtime.close()
    with pytest.raises(ModelError, match='m.bin: the runtime is closed'):
        runtime.run(noise(0))
    assert stand_in.counts().live == libdnn_cases.NOTHING


def test_closing_cancels_an_inference_that_hangs(tmp_path, stand_in):
    runtime = opened(recorded(tmp_path / 'm.bin'), timeout=60)
    stand_in.fail('hang')
    raised = []
    thread = threading.Thread(target=ends_with, args=(raised, runtime), daemon=True)
    thread.start()
    assert eventually(lambda: stand_in.counts().running == 1)
    started = time.monotonic()
    runtime.close()
    assert time.monotonic() - started < MARGIN
    thread.join(MARGIN)
    assert 'closed during an inference' in str(raised[0])


def test_closing_wakes_those_that_wait_for_a_slot(tmp_path, stand_in):
    runtime = opened(recorded(tmp_path / 'm.bin'), slots=1, timeout=60)
    raised = []
    with runtime.slot():
        thread = threading.Thread(target=ends_with, args=(raised, runtime), daemon=True)
        thread.start()
        time.sleep(0.05)
        closer = threading.Thread(target=runtime.close, daemon=True)
        closer.start()
        thread.join(MARGIN)
        assert not thread.is_alive()
    closer.join(MARGIN)
    assert 'is closed' in str(raised[0])


def test_a_slot_that_is_held_longer_keeps_its_memory_until_it_is_left(tmp_path, stand_in,
                                                                      monkeypatch, caplog):
    monkeypatch.setattr(libdnn, '_CLOSE', 0.1)
    runtime = opened(recorded(tmp_path / 'm.bin'))
    with runtime.slot() as slot:
        views = slot.infer(noise(0))
        before = views[0].copy()
        runtime.close()
        assert 'while 1 slot(s) are held' in caplog.text
        np.testing.assert_array_equal(views[0], before)
        with pytest.raises(ModelError, match='is closed'):
            slot.infer(noise(0))
        runtime.close()
    assert stand_in.counts().live == libdnn_cases.NOTHING


def test_a_slot_that_was_left_runs_nothing(tmp_path, stand_in):
    with opened(recorded(tmp_path / 'm.bin')) as runtime:
        with runtime.slot() as slot:
            pass
        assert slot.image is None
        with pytest.raises(ModelError, match='has been left'):
            slot.infer(np.zeros((HW[0] * 3 // 2, HW[1]), np.uint8))


def test_a_runtime_that_nobody_closes_gives_everything_back(tmp_path, stand_in):
    runtime = opened(recorded(tmp_path / 'm.bin'), timeout=0.1)
    stand_in.fail('hang')
    with pytest.raises(InferenceTimeoutError):
        runtime.run(noise(0))
    runtime.run(noise(0))
    assert stand_in.counts().live_models == 1
    del runtime
    gc.collect()
    assert eventually(lambda: stand_in.counts().live == libdnn_cases.NOTHING)
    assert stand_in.counts().writes_to_freed == 0
