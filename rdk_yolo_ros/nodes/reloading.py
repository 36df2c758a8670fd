"""Reloading: the service that reads the model again while images go on being processed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
import threading
import time
import traceback
from typing import Optional

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from rdk_yolo_ros.components.start_errors import USER_ERRORS, one_line
from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.predictor import Predictor


@dataclass
class _Job:
    """One reload under way; what it opens is closed again once it is given up."""

    began: float
    future: Future = field(default_factory=Future)
    given_up: bool = False
    predictor: Optional[Predictor] = None
    error: Optional[Exception] = None


class Reloading:
    """
    Serves `~/reload`: opens a predictor in a thread of its own, then hands it over.

    Attributes:
        failure: why the last reload failed, or nothing.

    Args:
        node: the node.
        open_predictor: returns the new predictor; called in that thread.
        take: called with it in the executor's thread, alone with the node's other callbacks;
            what it raises is told as the reason, and the predictor closed.
        refusal: returns why there can be no reload now, or nothing.

    """

    def __init__(self, node: Node, open_predictor: Callable[[], Predictor],
                 take: Callable[[Predictor], str], refusal: Callable[[], str]) -> None:
        self._node = node
        self._open = open_predictor
        self._take = take
        self._refusal = refusal
        self._lock = threading.Lock()
        self._job: Optional[_Job] = None
        self.failure = ''
        # A callback that waits keeps its group to itself, so the service has one of its own,
        # and one that lets a second call in, to refuse it.
        self._service = node.create_service(Trigger, '~/reload', self._on_request,
                                            callback_group=ReentrantCallbackGroup())
        self._opened = node.create_guard_condition(self._on_opened)

    @property
    def is_running(self) -> bool:
        """Whether a reload is under way."""
        return self._job is not None

    def give_up(self, why: str) -> None:
        """Answer a reload that is under way with a refusal; what it opens is closed."""
        self.failure = ''
        with self._lock:
            job, self._job = self._job, None
            if job is None:
                return
            job.given_up = True
        job.future.set_result((False, why))
        _close(job.predictor)

    async def _on_request(self, request: Trigger.Request,
                          response: Trigger.Response) -> Trigger.Response:
        why = self._refusal()
        with self._lock:
            if not why and self._job is not None:
                why = ('a reload is under way already, for '
                       f'{time.monotonic() - self._job.began:.1f} s')
            if not why:
                job = self._job = _Job(time.monotonic())
        if why:
            response.success, response.message = False, why
            return response
        threading.Thread(target=self._load, args=(job,), name='reloading', daemon=True).start()
        response.success, response.message = await job.future
        return response

    def _load(self, job: _Job) -> None:
        """Open the predictor; the thread's function."""
        predictor: Optional[Predictor] = None
        try:
            predictor = self._open()
        except Exception as error:
            job.error = error
        with self._lock:
            given_up = job.given_up
            job.predictor = predictor
            if not given_up:
                # Under the lock, as the node destroys what is triggered.
                self._opened.trigger()
        if given_up:
            _close(predictor)

    def _on_opened(self) -> None:
        with self._lock:
            job, self._job = self._job, None
        if job is None:
            return
        try:
            if job.error is not None:
                raise job.error
            assert job.predictor is not None
            # On several threads a request may come while the model is being freed.
            why = self._refusal()
            if why:
                raise RdkYoloError(why)
            message = self._take(job.predictor)
        except Exception as error:
            _close(job.predictor)
            why = one_line(error)
            if not isinstance(error, USER_ERRORS):
                why = f'{type(error).__name__}: {why}'
                self._node.get_logger().debug(''.join(traceback.format_exception(error)))
            self._node.get_logger().error(f'reload failed, the model stays as it is: {why}')
            self.failure = why
            job.future.set_result((False, f'{why}; the model stays as it is'))
        else:
            self.failure = ''
            job.future.set_result((True, message))


def _close(predictor: Optional[Predictor]) -> None:
    """Close what nobody has used, off the executor's thread, as closing may take its time."""
    if predictor is not None:
        threading.Thread(target=predictor.close, name='predictor-closing', daemon=True).start()
