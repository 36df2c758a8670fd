"""What the fault tests share: a quick real model, a camera, the node's health."""

from array import array
import json
from pathlib import Path
import sys
import threading
import time

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import numpy as np
import pytest
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rdk_yolo_ros.frame import Frame

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'test' / 'unit')]
from benchmarks.soak.readings import read  # noqa: E402

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
HW = (64, 64)
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def write_colour_model(folder, name='model', **keys):
    """Write a detector of red, green and blue squares and its work configuration; return that."""
    import onnx_models
    onnx_models.colour_detector(folder / f'{name}.onnx')
    path = folder / f'{name}.json'
    path.write_text(json.dumps({'model_file': f'{name}.onnx', 'class_num': 3,
                                'class_names': ['red', 'green', 'blue'], **keys}))
    return path


def nv12(bgr=(0, 0, 0), hw=HW, square=None):
    """Return an NV12 image's bytes: one colour, or black with a square of it in the middle."""
    picture = np.zeros((*hw, 3), np.uint8)
    if square is None:
        picture[:] = bgr
    else:
        top, left = (size // 2 - square // 2 for size in hw)
        picture[top:top + square, left:left + square] = bgr
    return array('B', Frame.from_bgr(picture).to_nv12().tobytes())


def image(data, stamp_ns=0, hw=HW, frame_id='camera'):
    """Return an NV12 image message."""
    return Image(header=Header(stamp=stamp(stamp_ns), frame_id=frame_id), encoding='nv12',
                 height=hw[0], width=hw[1], step=hw[1], data=data)


def stamp(nanoseconds):
    """Return a time message."""
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


RED = nv12((0, 0, 255), square=32)


class Camera:
    """Publishes `make()` at a rate until it is closed, in a thread of the test's."""

    def __init__(self, publisher, make, rate):
        self.published = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(publisher, make, rate))
        self._thread.start()

    def _run(self, publisher, make, rate):
        begin, turn = time.monotonic(), 0
        while not self._stop.wait(max(0.0, begin + turn / rate - time.monotonic())):
            publisher.publish(make())
            self.published += 1
            turn = max(turn + 1, int((time.monotonic() - begin) * rate))

    def close(self):
        """Stop publishing."""
        self._stop.set()
        self._thread.join(10.0)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


class Health:
    """What the YOLO node says of itself in /diagnostics."""

    def __init__(self, graph):
        self._recorder = graph.record(DiagnosticArray, '/diagnostics')

    def wait(self, where=lambda now: True, limit=30.0):
        """Return the first report from now on for which `where` is true."""
        seen, until = len(self._recorder), time.monotonic() + limit
        latest = None
        while time.monotonic() < until:
            for message in self._recorder.messages[seen:]:
                latest = Condition(message)
                if latest.level is not None and where(latest):
                    return latest
                seen += 1
            time.sleep(0.02)
        pytest.fail(f'no such report in {limit} s; the last one: {latest}')

    def wait_for(self, level, text='', limit=30.0):
        """Return the first report from now on of this level with `text` in its summary."""
        return self.wait(lambda now: now.level == level and text in now.summary, limit)


class Condition:
    """One report: the worst level, all summaries, all values."""

    def __init__(self, message):
        statuses = [status for status in message.status if status.name.startswith('yolo')]
        self.level = max((status.level for status in statuses), default=None)
        self.summary = '; '.join(status.message for status in statuses)
        self.values = {pair.key: pair.value for status in statuses for pair in status.values}

    def __str__(self):
        return f'{self.level!r} {self.summary} {self.values}'

    def __getitem__(self, key):
        return float(self.values[key])

    def failures(self):
        """Return how often each reason left an image out."""
        return {key: int(value) for key, value in self.values.items()
                if key.startswith('failed: ')}


def resident_mb(process):
    """Return a process' resident memory, MB."""
    return read(process.pid).resident / 1e6
