"""Pipeline: never blocks, keeps the newest item, hands results on in order, survives errors."""

import random
import threading
import time

import pytest

from rdk_yolo_ros.errors import InferenceTimeoutError, RuntimeLostError
from rdk_yolo_ros.pipeline import Pipeline, PipelineStats

LIMIT = 10.0


class Recorder:
    """Collects what a pipeline hands on."""

    def __init__(self):
        self.results = []
        self.errors = []
        self.changed = threading.Condition()

    def on_result(self, item, result):
        with self.changed:
            self.results.append((item, result))
            self.changed.notify_all()

    def on_error(self, item, error):
        with self.changed:
            self.errors.append((item, error))
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, LIMIT), (self.results, self.errors)


def wait_until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.001)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def make(recorder):
    pipelines = []

    def _make(predict, slots=1, **callbacks):
        callbacks = {'on_result': recorder.on_result, 'on_error': recorder.on_error, **callbacks}
        pipelines.append(Pipeline(predict, slots, **callbacks))
        return pipelines[-1]

    yield _make
    for pipeline in pipelines:
        pipeline.close(LIMIT)


def test_a_result_arrives_with_its_item(make, recorder):
    pipeline = make(lambda item: item * 10)
    assert pipeline.submit(4) is None
    recorder.wait_for(lambda: recorder.results)
    assert recorder.results == [(4, 40)]


def test_while_a_slot_is_busy_the_newest_item_wins(make, recorder):
    gate = threading.Event()
    begun = threading.Event()

    def predict(item):
        begun.set()
        assert gate.wait(LIMIT)
        return item

    pipeline = make(predict)
    pipeline.submit(0)
    assert begun.wait(LIMIT)
    assert [pipeline.submit(i) for i in range(1, 100)] == [None, *range(1, 99)]
    gate.set()
    recorder.wait_for(lambda: len(recorder.results) == 2)
    assert recorder.results == [(0, 0), (99, 99)]
    wait_until(lambda: pipeline.stats.completed == 2)
    assert (pipeline.stats.submitted, pipeline.stats.dropped) == (100, 98)


def test_submitting_never_waits_for_predict_or_for_the_callback(make):
    gate = threading.Event()
    pipeline = make(lambda item: gate.wait(LIMIT), slots=2,
                    on_result=lambda item, result: gate.wait(LIMIT))
    begin = time.monotonic()
    for i in range(1000):
        pipeline.submit(i)
    assert time.monotonic() - begin < 1.0
    gate.set()


@pytest.mark.parametrize('slots', [1, 2, 4])
@pytest.mark.parametrize('seed', range(3))
def test_results_arrive_in_the_order_of_submission_and_every_item_is_accounted_for(
        make, recorder, slots, seed):
    rng = random.Random(seed)
    delays = [rng.choice([0.001, 0.001, 0.002, 0.004]) for _ in range(200)]
    running = []
    at_most = []

    def predict(item):
        running.append(item)
        at_most.append(len(running))
        time.sleep(delays[item])
        running.remove(item)
        if item % 17 == 3:
            raise ValueError(item)
        return -item

    pipeline = make(predict, slots)
    displaced = []
    for i in range(200):
        displaced.append(pipeline.submit(i))
        time.sleep(rng.choice([0, 0.001]))

    def all_accounted_for():
        stats = pipeline.stats
        return stats.submitted == (stats.dropped + stats.completed + stats.failed + stats.late)

    wait_until(all_accounted_for)
    items = [item for item, _ in recorder.results]
    assert items == sorted(items)
    assert all(result == -item for item, result in recorder.results)
    failed = [item for item, _ in recorder.errors]
    assert all(isinstance(error, ValueError) and item % 17 == 3
               for item, error in recorder.errors)
    dropped = [item for item in displaced if item is not None]
    # A thread that the machine leaves waiting for long may be given up on: rare, and counted.
    assert pipeline.stats.late <= (0 if slots == 1 else 20)
    seen = items + failed + dropped
    assert len(set(seen)) == len(seen) == 200 - pipeline.stats.late
    assert max(at_most) <= slots


def test_slots_really_run_at_once(make):
    together = threading.Barrier(3)

    def predict(item):
        together.wait(LIMIT)
        return item

    pipeline = make(predict, slots=3)
    for i in range(3):
        pipeline.submit(i)
        wait_until(lambda: pipeline._pending is None)
    wait_until(lambda: pipeline.stats.completed == 3)


def test_an_exception_reaches_on_error_and_the_next_item_is_processed(make, recorder):
    def predict(item):
        if item == 'bad':
            raise RuntimeError('no such luck')
        return item

    pipeline = make(predict)
    pipeline.submit('bad')
    recorder.wait_for(lambda: recorder.errors)
    pipeline.submit('good')
    recorder.wait_for(lambda: recorder.results)
    assert recorder.errors[0][0] == 'bad'
    assert str(recorder.errors[0][1]) == 'no such luck'
    assert recorder.results == [('good', 'good')]


def test_a_callback_that_raises_is_reported_and_stops_nothing(make, recorder):
    def on_result(item, result):
        if item == 1:
            raise KeyError(item)
        recorder.on_result(item, result)

    pipeline = make(lambda item: item, on_result=on_result)
    pipeline.submit(1)
    recorder.wait_for(lambda: recorder.errors)
    pipeline.submit(2)
    recorder.wait_for(lambda: recorder.results)
    assert isinstance(recorder.errors[0][1], KeyError)


def test_an_error_callback_that_raises_stops_nothing(make, recorder, caplog):
    def on_error(item, error):
        raise OSError('disk full')

    pipeline = make(lambda item: 1 // item, on_error=on_error)
    pipeline.submit(0)
    wait_until(lambda: pipeline.stats.failed == 1)
    pipeline.submit(1)
    recorder.wait_for(lambda: recorder.results)
    assert 'disk full' in caplog.text


def test_one_hung_call_does_not_stop_the_other_slot(make, recorder):
    gate = threading.Event()

    def predict(item):
        if item == 0:
            gate.wait(LIMIT)
        return item

    pipeline = make(predict, slots=2)
    pipeline.submit(0)
    wait_until(lambda: pipeline._pending is None)
    for i in range(1, 40):
        pipeline.submit(i)
        wait_until(lambda: pipeline._pending is None)
    recorder.wait_for(lambda: recorder.results and recorder.results[-1][0] == 39)
    gate.set()
    wait_until(lambda: pipeline.stats.late == 1)
    assert [item for item, _ in recorder.results] == list(range(1, 40))


def test_results_do_not_pile_up_behind_a_slow_callback(make):
    gate = threading.Event()
    predicted = []
    pipeline = make(predicted.append, slots=2, on_result=lambda item, result: gate.wait(LIMIT))
    for i in range(50):
        pipeline.submit(i)
        time.sleep(0.001)
    # One is being handed on, and at most one a slot has been predicted behind it.
    assert len(predicted) <= 3
    gate.set()


def test_closing_drops_what_waits_and_hands_on_nothing_more(make, recorder):
    gate = threading.Event()
    begun = threading.Event()

    def predict(item):
        begun.set()
        gate.wait(LIMIT)
        return item

    pipeline = make(predict)
    pipeline.submit(0)
    assert begun.wait(LIMIT)
    pipeline.submit(1)
    closing = time.monotonic()
    assert pipeline.close(timeout=0.1) is False
    assert time.monotonic() - closing < 1.0
    assert pipeline.submit(2) == 2
    gate.set()
    assert pipeline.close(timeout=LIMIT) is True
    assert recorder.results == []


def test_an_idle_pipeline_closes_at_once_and_twice(make):
    pipeline = make(lambda item: item, slots=4)
    begin = time.monotonic()
    assert pipeline.close() is True
    assert pipeline.close() is True
    assert time.monotonic() - begin < 0.5


def test_a_callback_may_close_its_own_pipeline(make, recorder):
    def on_result(item, result):
        recorder.on_result(item, pipeline.close(LIMIT))

    pipeline = make(lambda item: item, on_result=on_result)
    pipeline.submit(0)
    recorder.wait_for(lambda: recorder.results)
    assert recorder.results == [(0, True)]


def test_none_is_an_item_like_any_other(make, recorder):
    pipeline = make(lambda item: 'result')
    pipeline.submit(None)
    recorder.wait_for(lambda: recorder.results)
    assert recorder.results == [(None, 'result')]


def test_at_least_one_slot_is_needed():
    with pytest.raises(ValueError, match='slots is 0'):
        Pipeline(lambda item: item, slots=0)


@pytest.mark.parametrize('timeout', [0, -1.0, float('nan')])
def test_a_timeout_is_some_time(timeout):
    with pytest.raises(ValueError, match='timeout is'):
        Pipeline(lambda item: item, timeout=timeout)


# Calls that hang

class Hanging:
    """Predicts at once, but hangs on the given items until the gate opens."""

    def __init__(self, hangs):
        self.hangs = hangs
        self.gate = threading.Event()
        self.begun = []
        self.returned = []

    def __call__(self, item):
        self.begun.append(item)
        if self.hangs(item):
            assert self.gate.wait(LIMIT)
        self.returned.append(item)
        return -item


def slot_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith('pipeline-slot')]


def feed(pipeline, items, predict):
    """Submit items one by one, each when the one before it has been taken."""
    for item in items:
        pipeline.submit(item)
        wait_until(lambda item=item: item in predict.begun)


def test_a_call_that_hangs_is_given_up_and_the_only_slot_goes_on(make, recorder):
    predict = Hanging(lambda item: item == 1)
    pipeline = make(predict, timeout=0.1)
    feed(pipeline, [0, 1], predict)
    begin = time.monotonic()
    recorder.wait_for(lambda: recorder.errors)
    assert 0.05 < time.monotonic() - begin < 1.0
    ((item, error),) = recorder.errors
    assert item == 1
    assert isinstance(error, InferenceTimeoutError)
    assert '0.1 s' in str(error)
    feed(pipeline, [2, 3], predict)
    recorder.wait_for(lambda: len(recorder.results) == 3)
    assert pipeline.hung == 1
    predict.gate.set()
    wait_until(lambda: pipeline.hung == 0)
    wait_until(lambda: pipeline.stats.completed == 3)
    # What it returns at last is thrown away, and its thread ends.
    assert [item for item, _ in recorder.results] == [0, 2, 3]
    wait_until(lambda: len(slot_threads()) == 1)
    assert pipeline.stats == PipelineStats(submitted=4, completed=3, timed_out=1)


def test_the_error_of_a_call_that_was_given_up_is_at_its_place_in_the_order(make, recorder):
    predict = Hanging(lambda item: item == 1)
    order = []
    pipeline = make(predict, slots=3, timeout=0.2, on_error=lambda item, _: order.append(item),
                    on_result=lambda item, _: order.append(item))
    feed(pipeline, range(5), predict)
    wait_until(lambda: set(predict.returned) == {0, 2, 3, 4})
    wait_until(lambda: len(order) == 5)
    assert order == [0, 1, 2, 3, 4]
    predict.gate.set()


def test_a_call_that_was_overtaken_before_it_is_given_up_is_an_error_too(make, recorder):
    predict = Hanging(lambda item: item == 0)
    pipeline = make(predict, slots=2, timeout=0.5)
    feed(pipeline, range(30), predict)
    recorder.wait_for(lambda: recorder.results)
    recorder.wait_for(lambda: recorder.errors)
    assert recorder.errors[0][0] == 0
    feed(pipeline, [30], predict)
    recorder.wait_for(lambda: recorder.results[-1][0] == 30)
    items = [item for item, _ in recorder.results]
    assert items == sorted(items)
    wait_until(lambda: pipeline.stats.completed + 1 == pipeline.stats.submitted)
    assert (pipeline.stats.timed_out, pipeline.stats.late) == (1, 0)
    predict.gate.set()


def test_an_error_of_a_call_that_was_overtaken_is_told_too(make, recorder):
    predict = Hanging(lambda item: item == 0)

    def fails_at_last(item):
        result = predict(item)
        if item == 0:
            raise InferenceTimeoutError('the runtime gave it up')
        return result

    pipeline = make(fails_at_last, slots=2, timeout=LIMIT)
    feed(pipeline, range(30), predict)
    recorder.wait_for(lambda: recorder.results)
    predict.gate.set()
    recorder.wait_for(lambda: recorder.errors)
    assert [(item, str(error)) for item, error in recorder.errors] == [
        (0, 'the runtime gave it up')]
    wait_until(lambda: pipeline.stats.failed == 1)
    assert (pipeline.stats.late, pipeline.stats.timed_out) == (0, 0)


def test_calls_that_never_return_take_a_limited_number_of_threads(make, recorder):
    predict = Hanging(lambda item: item < 100)
    pipeline = make(predict, slots=2, timeout=0.05)
    for item in range(6):
        pipeline.submit(item)
        recorder.wait_for(lambda item=item: len(recorder.errors) > item)
    kinds = [type(error) for _, error in recorder.errors]
    assert kinds == [InferenceTimeoutError] * 4 + [RuntimeLostError] * 2
    assert '6 inferences' in str(recorder.errors[-1][1])
    assert pipeline.is_stuck
    for item in range(6, 20):
        pipeline.submit(item)
    time.sleep(0.2)
    assert len(predict.begun) == 6
    assert len(slot_threads()) == 6
    assert pipeline.stats.timed_out == 6
    # They do return after all: the slots take items again.
    pipeline.submit(100)
    predict.gate.set()
    recorder.wait_for(lambda: (100, -100) in recorder.results)
    wait_until(lambda: len(slot_threads()) == 2)
    assert not pipeline.is_stuck
    stats = pipeline.stats
    wait_until(lambda: pipeline.stats.completed == 1)
    assert stats.submitted == 21 == 6 + stats.dropped + 1


def test_closing_while_calls_hang_takes_less_than_a_second(make, recorder):
    predict = Hanging(lambda item: True)
    pipeline = make(predict, slots=2, timeout=0.1)
    feed(pipeline, [0], predict)
    recorder.wait_for(lambda: recorder.errors)
    begin = time.monotonic()
    assert pipeline.close() is False
    assert time.monotonic() - begin < 0.5  # what was given up is not waited for
    predict.gate.set()
    wait_until(lambda: pipeline.close() is True)

    other = make(predict, slots=2, timeout=LIMIT)
    predict.gate.clear()
    feed(other, [1, 2], predict)
    begin = time.monotonic()
    assert other.close() is False
    assert time.monotonic() - begin < 1.0
    predict.gate.set()


@pytest.mark.parametrize('seed', range(3))
def test_every_item_is_accounted_for_when_some_calls_hang(make, recorder, seed):
    rng = random.Random(seed)
    delays = [rng.choice([0.001, 0.002, 0.003] * 20 + [0.25]) for _ in range(300)]

    def predict(item):
        time.sleep(delays[item])
        if item % 13 == 4:
            raise ValueError(item)
        return item

    pipeline = make(predict, slots=2, timeout=0.1)
    displaced = []
    for i in range(300):
        displaced.append(pipeline.submit(i))
        time.sleep(rng.choice([0, 0.002]))

    def all_accounted_for():
        stats = pipeline.stats
        return stats.submitted == (stats.dropped + stats.completed + stats.failed + stats.late
                                   + stats.timed_out)

    wait_until(all_accounted_for)
    items = [item for item, _ in recorder.results]
    assert items == sorted(items)
    gave_up = [item for item, error in recorder.errors
               if isinstance(error, InferenceTimeoutError)]
    assert len(gave_up) == pipeline.stats.timed_out
    begun = set(range(300)) - {item for item in displaced if item is not None}
    assert set(gave_up) >= {item for item in begun if delays[item] == 0.25}
    wait_until(lambda: pipeline.hung == 0)
    wait_until(lambda: len(slot_threads()) == 2)
