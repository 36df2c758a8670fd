"""A model is opened beside the thread that has to see a signal."""

import threading
import time

import pytest

rclpy = pytest.importorskip('rclpy')

from rclpy.context import Context  # noqa: E402

from rdk_yolo_ros.errors import ModelError, RdkYoloError  # noqa: E402
from rdk_yolo_ros.nodes.opening import open_while_up  # noqa: E402


class StandInPredictor:
    """What is opened: it can be closed."""

    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


@pytest.fixture
def context():
    context = Context()
    rclpy.init(context=context)
    yield context
    context.try_shutdown()


def test_what_is_opened_is_returned(context):
    predictor = StandInPredictor()
    assert open_while_up(context, lambda: predictor) is predictor
    assert not predictor.closed.is_set()


def test_what_goes_wrong_is_raised_here(context):
    def fail():
        raise ModelError('m.onnx is no model')

    with pytest.raises(ModelError, match='no model'):
        open_while_up(context, fail)


@pytest.mark.parametrize('how', ['context', 'interrupt'])
def test_whoever_has_to_end_does_not_wait_and_what_is_opened_later_is_closed(
        context, monkeypatch, how):
    predictor, go_on = StandInPredictor(), threading.Event()

    def open_slowly():
        assert go_on.wait(30.0)
        return predictor

    kind = RdkYoloError
    if how == 'context':
        threading.Timer(0.2, context.try_shutdown).start()
    else:
        # As Ctrl-C does, which Python raises in the main thread, between two of its looks.
        kind = KeyboardInterrupt
        looks = iter([True])
        monkeypatch.setattr(context, 'ok', lambda: next(looks, None) or interrupt())
    begin = time.monotonic()
    with pytest.raises(kind):
        open_while_up(context, open_slowly)
    assert time.monotonic() - begin < 5.0
    assert not predictor.closed.is_set()
    go_on.set()
    assert predictor.closed.wait(10.0)


def interrupt():
    raise KeyboardInterrupt
