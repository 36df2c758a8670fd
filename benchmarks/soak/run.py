"""The run: source and YOLO node as processes, a listener here, and a look at both every second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
import os
from pathlib import Path
import struct
import sys
import time
from typing import Any

import numpy as np

from benchmarks.soak.figures import BURST, warm_up_s
from benchmarks.soak.readings import read
from benchmarks.soak.record import NODES, Minute, Recorder, Sample
from benchmarks.timing import machine

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import (  # noqa: E402
    DDS_VARIABLES,
    Child,
    end,
    interrupt,
    lock_domain,
    loopback_environment,
)

_SAMPLE_S, _MINUTE_S, _BURST_S = 1.0, 60.0, 30.0
# Drawing the source's scenes at this size takes a while.
_START_LIMIT_S, _SILENCE_LIMIT_S, _ANSWER_LIMIT_S = 120.0, 30.0, 10.0
# What the node counts, by the names it has in /diagnostics.
_COUNTS = {'images': ('received',), 'failed': ('dropped: failed', 'dropped: given up'),
           'dropped': ('dropped: a newer image came first', 'dropped: overtaken'),
           'lost': ('lost by the middleware',)}


class Listener:
    """Receives detections without unpacking them, and the node's diagnostics."""

    def __init__(self, node: Any) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from vision_msgs.msg import Detection2DArray
        self.heard = 0.0  # time.monotonic() of the last result
        self.total = 0
        self._delays: list[float] = []
        self._gap = 0.0
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._before = dict(self._counts)
        node.create_subscription(Detection2DArray, 'yolo/detections', self._on_detections, 10,
                                 raw=True)
        node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 1)

    def _on_detections(self, message: bytes) -> None:
        seconds, nanoseconds = struct.unpack_from('<iI', message, 4)
        self._delays.append(time.time() - seconds - nanoseconds * 1e-9)
        now = time.monotonic()
        if self.total:
            self._gap = max(self._gap, now - self.heard)
        self.heard = now
        self.total += 1

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            if status.name.endswith(': inference'):
                values = {pair.key: pair.value for pair in status.values}
                self._counts = {name: sum(int(values.get(key, 0)) for key in keys)
                                for name, keys in _COUNTS.items()}

    def minute(self, at: float, seconds: float) -> Minute:
        """Return what came since the last call."""
        delays, self._delays = np.array(self._delays or [np.nan]) * 1e3, []
        gap, self._gap = self._gap, 0.0
        counted = {name: count - self._before[name] for name, count in self._counts.items()}
        self._before = dict(self._counts)
        middle, high, higher, most = np.percentile(delays, (50, 95, 99, 100))
        return Minute(at, seconds, int(np.isfinite(delays).sum()), float(middle), float(high),
                      float(higher), float(most), gap * 1e3, **counted)


def run(minutes: float, task: str, width: int, height: int, rate: float, folder: Path,
        say: Callable[[str], object] = print) -> str:
    """
    Run the nodes and write the record.

    Returns:
        Why the run ended before its time, or an empty text.

    Raises:
        SystemExit: no result came at all; with the processes' last lines.

    """
    domain, lock = lock_domain()
    # Whatever profile the user has: this one has room for large images, on this machine alone.
    for name in DDS_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(loopback_environment(ROOT, os.environ), ROS_DOMAIN_ID=str(domain))
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.signals import SignalHandlerOptions

    facts = {'machine': machine(), 'task': task, 'width': width, 'height': height, 'rate': rate,
             'minutes': minutes, 'began': datetime.now(timezone.utc).isoformat('T', 'seconds')}
    recorder = Recorder(folder, facts)
    children: list[Child] = []
    context = Context()
    with lock:
        try:
            for node, parameters in (
                    ('yolo', {'config_file': ROOT / 'config' / f'demo_{task}.json'}),
                    ('source', {'rate': BURST * rate, 'width': width, 'height': height})):
                children.append(_start(node, parameters))
            # Ctrl-C is this process's own: it ends the run, and what was measured is judged.
            rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
            listening = Node('soak', context=context)
            listener = Listener(listening)
            executor = SingleThreadedExecutor(context=context)
            executor.add_node(listening)
            slow_down = _slow_down(listening, rate)
            return _watch(minutes * 60, {child.name: child for child in children}, listener,
                          executor, recorder, slow_down, say)
        finally:
            interrupt(children)
            end(children, 5.0)
            if context.ok():
                listening.destroy_node()
                context.try_shutdown()


def _start(node: str, parameters: dict[str, Any]) -> Child:
    argv = [sys.executable, '-m', f'rdk_yolo_ros.nodes.{node}', '--ros-args']
    for name, value in parameters.items():
        argv += ['-p', f'{name}:={value}']
    return Child(node, argv, {**os.environ, 'PYTHONPATH': os.pathsep.join(
        [str(ROOT), os.environ.get('PYTHONPATH', '')])}, ROOT)


def _slow_down(node: Any, rate: float) -> Callable[[], Any]:
    """Return what sets the source's rate; that returns the answer's future."""
    from rcl_interfaces.srv import SetParameters
    from rclpy.parameter import Parameter
    client = node.create_client(SetParameters, 'source/set_parameters')
    request = SetParameters.Request(parameters=[Parameter('rate', value=rate).to_parameter_msg()])
    return lambda: client.call_async(request)


def _watch(seconds: float, children: dict[str, Child], listener: Listener, executor: Any,
           recorder: Recorder, slow_down: Callable[[], Any],
           say: Callable[[str], object]) -> str:
    begin = time.monotonic()
    while not listener.total:
        executor.spin_once(timeout_sec=0.1)
        if time.monotonic() - begin > _START_LIMIT_S or _ended(children):
            raise SystemExit(f'soak: {_ended(children) or "no result came"}' + ''.join(
                f'; {name}: {child.last_lines()}' for name, child in children.items()))
    begin = last_minute = time.monotonic()
    next_sample = begin
    burst_ends = begin + min(_BURST_S, warm_up_s(seconds) / 2)
    slowed: Any = None
    why = ''
    try:
        while not why:
            executor.spin_once(timeout_sec=max(0.0, min(0.1, next_sample - time.monotonic())))
            now = time.monotonic()
            if now >= burst_ends and slowed is None:
                slowed = slow_down()
            elif now >= burst_ends + _ANSWER_LIMIT_S and not slowed.done():
                raise SystemExit('soak: the source node does not answer to a parameter')
            if now >= next_sample:
                next_sample = max(next_sample + _SAMPLE_S, now)
                why = _ended(children)
                if not why:
                    recorder.add_sample(Sample(now - begin, {
                        node: read(children[node].pid) for node in NODES}))
            if now - listener.heard > _SILENCE_LIMIT_S:
                why = f'no result for {_SILENCE_LIMIT_S:g} s'
            if now - last_minute >= _MINUTE_S:
                _tell(listener.minute(now - begin, now - last_minute), recorder, say)
                last_minute = now
            if now - begin >= seconds:
                break
    except KeyboardInterrupt:
        why = 'interrupted'
    now = time.monotonic()
    if now - last_minute > 1.0:
        _tell(listener.minute(now - begin, now - last_minute), recorder, say)
    return why


def _tell(minute: Minute, recorder: Recorder, say: Callable[[str], object]) -> None:
    recorder.add_minute(minute)
    say(f'  {minute.at_s / 60:5.1f} min: {minute.results / minute.seconds:5.1f} results a second, '
        f'{minute.p50_ms:.1f} / {minute.p95_ms:.1f} / {minute.most_ms:.1f} ms p50 / p95 / most '
        f'from stamp to receipt; {minute.images} images, {minute.dropped} dropped, '
        f'{minute.lost} lost, {minute.failed} failed')


def _ended(children: dict[str, Child]) -> str:
    return '; '.join(f'{name} ended with code {child.exit_code()}: {child.last_lines()}'
                     for name, child in children.items() if child.exit_code() is not None)
