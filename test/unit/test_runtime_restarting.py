"""A runtime that dies is opened again, with back-off; nobody waits for it meanwhile."""

from pathlib import Path
import threading
import time

import numpy as np
import pytest

from rdk_yolo_ros.errors import ModelError, RuntimeLostError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes import RestartingRuntime, Runtime
from rdk_yolo_ros.tensors import TensorInfo

LIMIT = 10.0
GREY = np.full((96, 64), 128, np.uint8)


def wait_until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.001)


class StandInRuntime(Runtime):
    """A stand-in for a runtime: it dies after so many inferences."""

    name = 'stand-in'
    slots = 3
    longest_call = 12.5

    def __init__(self, lives, output=None):
        self.path = Path('m.bin')
        self.input_hw = (64, 64)
        self.outputs = [output or TensorInfo('out', (1, 4), np.int32, scale=[0.5] * 4,
                                             quantize_axis=1)]
        self.lives = lives
        self.closed = 0
        self.gate = None

    def run(self, nv12):
        if self.gate is not None:
            assert self.gate.wait(LIMIT)
        self.lives -= 1
        if self.lives < 0:
            raise RuntimeLostError('the worker is gone')
        return [np.zeros((1, 4), np.int32)]

    def close(self):
        self.closed += 1


class Opener:
    """Opens the given runtimes one after the other; an exception in their place is raised."""

    def __init__(self, *runtimes):
        self.runtimes = list(runtimes)
        self.times = []

    def __call__(self):
        self.times.append(time.monotonic())
        runtime = self.runtimes[len(self.times) - 1]
        if isinstance(runtime, Exception):
            raise runtime
        return runtime


@pytest.fixture
def restarting():
    made = []

    def make(opener, first_delay=0.02, longest_delay=0.5):
        made.append(RestartingRuntime(opener, first_delay, longest_delay))
        return made[-1]

    yield make
    for runtime in made:
        runtime.close()


def lose(runtime):
    with pytest.raises(RuntimeLostError):
        runtime.run(GREY)


def test_it_is_what_it_wraps(restarting):
    inner = StandInRuntime(10)
    runtime = restarting(Opener(inner))
    for field in ('name', 'path', 'input_hw', 'outputs', 'slots', 'nv12_range', 'metadata',
                  'usual_timeout', 'longest_call'):
        assert getattr(runtime, field) == getattr(inner, field), field
    assert runtime.run(GREY)[0].shape == (1, 4)
    with runtime.slot() as slot:
        assert slot.image is None
        assert slot.infer(GREY)[0].shape == (1, 4)
    assert runtime.describe() == inner.describe()
    assert (runtime.state, runtime.restarts, runtime.last_error) == ('running', 0, None)


def test_what_cannot_be_opened_at_first_is_an_error():
    with pytest.raises(RuntimeUnavailableError, match='no libdnn'):
        RestartingRuntime(Opener(RuntimeUnavailableError('no libdnn')))


@pytest.mark.parametrize('way', ['run', 'slot'])
def test_a_runtime_that_dies_is_opened_again_each_time(restarting, caplog, way):
    def infer():
        if way == 'run':
            return runtime.run(GREY)
        with runtime.slot() as slot:
            return slot.infer(GREY)

    inners = [StandInRuntime(2) for _ in range(4)]
    opener = Opener(*inners)
    runtime = restarting(opener)
    for time_round in range(3):
        infer()
        infer()
        with pytest.raises(RuntimeLostError, match='the worker is gone'):
            infer()
        assert runtime.last_error == 'the worker is gone'
        wait_until(lambda: runtime.state == 'running')
        assert runtime.restarts == time_round + 1
        assert [inner.closed for inner in inners] == [
            int(i <= time_round) for i in range(4)]
    infer()
    lines = [record.getMessage() for record in caplog.records]
    assert sum('is lost and will be opened again' in line for line in lines) == 3
    assert sum('is back' in line for line in lines) == 3
    assert len(lines) == 6


def test_while_it_is_being_opened_calls_fail_at_once(restarting):
    gate = threading.Event()
    runtimes = [StandInRuntime(0), StandInRuntime(5)]

    def opener():
        if len(runtimes) == 1:
            assert gate.wait(LIMIT)
        return runtimes.pop(0)

    runtime = restarting(opener, first_delay=0.01)
    lose(runtime)
    assert runtime.state == 'reopening'
    begin = time.monotonic()
    for _ in range(100):
        with pytest.raises(RuntimeLostError, match='runtime is being opened again .m.bin'):
            runtime.run(GREY)
        with pytest.raises(RuntimeLostError), runtime.slot():
            pass
    assert time.monotonic() - begin < 0.5
    gate.set()
    wait_until(lambda: runtime.state == 'running')
    runtime.run(GREY)


def test_the_pauses_between_attempts_double_up_to_a_limit(restarting, caplog):
    opener = Opener(StandInRuntime(0), *[ModelError('busy')] * 4, ModelError('other'),
                    StandInRuntime(1))
    runtime = restarting(opener, first_delay=0.04, longest_delay=0.2)
    lost = time.monotonic()
    lose(runtime)
    wait_until(lambda: runtime.state == 'running')
    times = [lost, *opener.times[1:]]
    pauses = [after - before for before, after in zip(times, times[1:])]
    for pause, expected in zip(pauses, [0.04, 0.08, 0.16, 0.2, 0.2, 0.2]):
        assert expected * 0.95 <= pause < expected + 0.5, pauses
    # Each reason is logged once, not each attempt.
    assert caplog.text.count('cannot be opened again yet') == 2


def test_a_runtime_that_dies_at_once_each_time_is_opened_ever_more_rarely(restarting):
    opener = Opener(*[StandInRuntime(0) for _ in range(5)])
    runtime = restarting(opener, first_delay=0.02, longest_delay=30.0)
    losses = []
    for _ in range(4):
        losses.append(time.monotonic())
        lose(runtime)
        wait_until(lambda: runtime.state == 'running')
    pauses = [opened - lost for lost, opened in zip(losses, opener.times[1:])]
    for pause, expected in zip(pauses, [0.02, 0.04, 0.08, 0.16]):
        assert expected * 0.95 <= pause, pauses


def test_one_that_held_long_enough_is_opened_again_soon(restarting, caplog):
    opener = Opener(*[StandInRuntime(0) for _ in range(5)])
    runtime = restarting(opener, first_delay=0.02, longest_delay=LIMIT)
    for _ in range(3):
        lose(runtime)
        wait_until(lambda: runtime.state == 'running')
    runtime._opened_at -= LIMIT  # as if it had run for that long
    lose(runtime)
    wait_until(lambda: runtime.state == 'running')
    lines = [line for line in caplog.messages if 'will be opened again' in line]
    assert 'again in 0.08 s' in lines[2]
    assert 'again in 0.02 s' in lines[3]


OTHERS = {
    'shape': (TensorInfo('out', (1, 5), np.int32), 'output was out int32 (1, 4) and is out int32'),
    'type': (TensorInfo('out', (1, 4), np.float32), 'is out float32 (1, 4)'),
    'name': (TensorInfo('new', (1, 4), np.int32), 'is new int32'),
    'scale': (TensorInfo('out', (1, 4), np.int32, scale=[0.5, 0.5, 0.5, 0.6], quantize_axis=1),
              'output out has other scales'),
    'no scale': (TensorInfo('out', (1, 4), np.int32), 'output out has other scales')}


@pytest.mark.parametrize('other', OTHERS)
def test_another_model_in_the_file_leaves_it_lost_and_says_so(restarting, caplog, other):
    output, says = OTHERS[other]
    new = StandInRuntime(9, output)
    runtime = restarting(Opener(StandInRuntime(0), new))
    lose(runtime)
    wait_until(lambda: runtime.state == 'lost')
    assert says in runtime.last_error
    assert 'start again' in runtime.last_error
    wait_until(lambda: new.closed == 1)
    with pytest.raises(RuntimeLostError, match='the model changed'):
        runtime.run(GREY)
    assert runtime.restarts == 0
    assert caplog.text.count('the model changed') == 1


@pytest.mark.parametrize('changes', [{'input_hw': (32, 32)}, {'nv12_range': 'limited'},
                                     {'name': 'other'}])
def test_another_input_or_runtime_leaves_it_lost(restarting, changes):
    new = StandInRuntime(9)
    vars(new).update(changes)
    runtime = restarting(Opener(StandInRuntime(0), new))
    lose(runtime)
    wait_until(lambda: runtime.state == 'lost')


def test_it_is_not_closed_under_calls_that_are_still_in_it(restarting):
    inner = StandInRuntime(0)
    runtime = restarting(Opener(inner, StandInRuntime(1)))
    with runtime.slot() as slot:
        with pytest.raises(RuntimeLostError):
            runtime.run(GREY)
        time.sleep(0.1)
        assert runtime.state == 'reopening'
        assert inner.closed == 0
        assert slot is not None
    wait_until(lambda: runtime.state == 'running')
    assert inner.closed == 1


def test_a_runtime_that_hangs_when_it_is_closed_is_left_behind(restarting, monkeypatch, caplog):
    gate = threading.Event()
    monkeypatch.setattr('rdk_yolo_ros.runtimes.restarting._CLOSING_S', 0.1)
    inner = StandInRuntime(0)
    monkeypatch.setattr(inner, 'close', lambda: gate.wait(LIMIT))
    runtime = restarting(Opener(inner, StandInRuntime(1)))
    lose(runtime)
    wait_until(lambda: runtime.state == 'running')
    assert 'does not close' in caplog.text
    gate.set()


def test_many_calls_that_see_it_die_open_it_once(restarting):
    inner = StandInRuntime(0)
    inner.gate = threading.Event()
    opener = Opener(inner, StandInRuntime(9))
    runtime = restarting(opener)
    threads = [threading.Thread(target=lose, args=(runtime,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    inner.gate.set()
    for thread in threads:
        thread.join(LIMIT)
    wait_until(lambda: runtime.state == 'running')
    assert (runtime.restarts, len(opener.times)) == (1, 2)


def test_whoever_sees_it_hang_can_have_it_opened_again(restarting):
    inner = StandInRuntime(9)
    runtime = restarting(Opener(inner, StandInRuntime(9)))
    runtime.lose(RuntimeLostError('7 inferences have not returned'))
    assert runtime.last_error == '7 inferences have not returned'
    wait_until(lambda: runtime.state == 'running')
    assert inner.closed == 1


def test_other_errors_lose_nothing(restarting):
    inner = StandInRuntime(9)
    runtime = restarting(Opener(inner))
    with pytest.raises(ModelError), runtime.slot():
        raise ModelError('one bad image')
    assert runtime.state == 'running'


def test_closing_while_it_is_being_opened_is_quick_and_closes_what_opens(restarting):
    gate = threading.Event()
    new = StandInRuntime(9)
    runtimes = [StandInRuntime(0), new]

    def opener():
        if len(runtimes) == 1:
            assert gate.wait(LIMIT)
        return runtimes.pop(0)

    runtime = restarting(opener, first_delay=0.01)
    lose(runtime)
    time.sleep(0.1)
    begin = time.monotonic()
    runtime.close()
    runtime.close()
    assert time.monotonic() - begin < 0.5
    assert runtime.state == 'closed'
    gate.set()
    wait_until(lambda: new.closed == 1)
    with pytest.raises(ModelError, match='the runtime is closed'):
        runtime.run(GREY)
