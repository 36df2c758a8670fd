"""Pipeline.resize: more or fewer slots while items are in flight, and none of them lost."""

import random
import threading
import time

import pytest

from rdk_yolo_ros.pipeline import Pipeline

LIMIT = 10.0


class Model:
    """A call that waits for its gate and knows how many run at once."""

    def __init__(self):
        self.gate = threading.Event()
        self.lock = threading.Lock()
        self.running = 0
        self.most = 0

    def __call__(self, item):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.gate.wait(LIMIT)
        with self.lock:
            self.running -= 1
        return item


def wait_until(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, 'waited in vain'
        time.sleep(0.001)


def threads_of(pipeline):
    return [thread for thread in pipeline._threads if thread.is_alive()]


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def make(model):
    made = []

    def _make(slots, timeout=None):
        results, errors = [], []
        pipeline = Pipeline(model, slots, lambda item, result: results.append(item),
                            lambda item, error: errors.append(item), timeout)
        made.append(pipeline)
        return pipeline, results, errors

    yield _make
    model.gate.set()
    wait_until(lambda: all(pipeline.close(LIMIT) for pipeline in made))


def fill(pipeline, model, count, first=0):
    for item in range(first, first + count):
        before = model.running
        pipeline.submit(item)
        wait_until(lambda before=before: model.running == before + 1)


def test_more_slots_are_there_at_once(make, model):
    pipeline, results, _ = make(1)
    fill(pipeline, model, 1)
    pipeline.resize(3)
    fill(pipeline, model, 2, first=1)
    model.gate.set()
    wait_until(lambda: results == [0, 1, 2])


def test_of_fewer_slots_those_under_way_end_their_items(make, model):
    pipeline, results, _ = make(3)
    fill(pipeline, model, 3)
    pipeline.resize(1)
    pipeline.submit(3)
    model.gate.set()
    wait_until(lambda: results == [0, 1, 2, 3])
    wait_until(lambda: len(threads_of(pipeline)) == 2)  # one slot, and the results' own
    model.gate.clear()
    model.most = 0
    fill(pipeline, model, 1, first=4)
    pipeline.submit(5)
    time.sleep(0.05)
    assert model.most == 1
    model.gate.set()
    wait_until(lambda: results[-1] == 5)


def test_slots_lost_to_calls_that_never_return_are_filled_again(make, model):
    pipeline, results, errors = make(1, timeout=0.05)
    for item in range(3):
        pipeline.submit(item)
        wait_until(lambda item=item: len(errors) == item + 1)
    assert pipeline.is_stuck
    pipeline.resize(2, timeout=5.0)
    assert not pipeline.is_stuck
    fill(pipeline, model, 2, first=3)
    model.gate.set()
    wait_until(lambda: results == [3, 4])


def test_a_shorter_timeout_holds_for_calls_under_way(make, model):
    pipeline, _, errors = make(1, timeout=60.0)
    fill(pipeline, model, 1)
    pipeline.resize(1, timeout=0.05)
    wait_until(lambda: errors == [0])


@pytest.mark.parametrize(('slots', 'timeout'), [(0, None), (1, 0.0)])
def test_what_no_pipeline_can_have_is_refused(make, slots, timeout):
    pipeline, _, _ = make(1)
    with pytest.raises(ValueError, match='expected'):
        pipeline.resize(slots, timeout)


@pytest.mark.parametrize('seed', range(3))
def test_every_item_is_accounted_for_whatever_the_slots_do(seed):
    rng = random.Random(seed)
    results = []

    def predict(item):
        time.sleep(item % 7 * 0.0005)
        return item

    pipeline = Pipeline(predict, 2, lambda item, result: results.append(item))
    displaced = []
    for item in range(400):
        if rng.random() < 0.1:
            pipeline.resize(rng.randint(1, 5))
        if (gone := pipeline.submit(item)) is not None:
            displaced.append(gone)
        time.sleep(rng.random() * 0.002)
    wait_until(lambda: len(results) + len(displaced) + pipeline.stats.late == 400)
    assert results == sorted(results)
    assert pipeline.close(LIMIT)
    stats = pipeline.stats
    assert stats.submitted == 400
    assert (stats.completed, stats.dropped) == (len(results), len(displaced))
