"""Opening a model without keeping a signal waiting."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Optional

from rclpy.context import Context

from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.predictor import Predictor

_LOOK_S = 0.05


class _Opening:
    """What becomes of it, for the two threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.done = threading.Event()
        self.given_up = False
        self.predictor: Optional[Predictor] = None
        self.error: Optional[BaseException] = None


def open_while_up(context: Context, open_predictor: Callable[[], Predictor]) -> Predictor:
    """
    Return what `open_predictor` returns, called in a thread of its own.

    A large model takes seconds to open, in one call that no signal ends. This one returns when
    the signal has ended the context; what is opened later is closed again.

    Raises:
        RdkYoloError: the context ended meanwhile.
        Exception: what `open_predictor` raises.

    """
    opening = _Opening()
    threading.Thread(target=_open, args=(opening, open_predictor), name='model-opening',
                     daemon=True).start()
    try:
        while not opening.done.wait(_LOOK_S):
            if not context.ok():
                raise RdkYoloError('ROS was shut down while the model was being opened')
    except BaseException:
        with opening.lock:
            opening.given_up = True
        if opening.predictor is not None:
            opening.predictor.close()
        raise
    if opening.error is not None:
        raise opening.error
    assert opening.predictor is not None
    return opening.predictor


def _open(opening: _Opening, open_predictor: Callable[[], Predictor]) -> None:
    predictor: Optional[Predictor] = None
    try:
        predictor = open_predictor()
    except BaseException as error:
        opening.error = error
    with opening.lock:
        given_up = opening.given_up
        if not given_up:
            opening.predictor = predictor
    opening.done.set()
    if given_up and predictor is not None:
        predictor.close()
