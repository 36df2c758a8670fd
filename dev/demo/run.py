"""
The demo: source and YOLO node as processes on DDS, watched by a third, this one.

Everything is set by environment variables: TASK (detect, segment or pose), SOURCE (synthetic, or
the path of a video, pictures, or a bag), FRAMES (results after which to end), and WIDTH, HEIGHT,
RATE of the images. It ends with code 0 after FRAMES results or Ctrl-C, 1 when something fails, 2
when a setting is wrong; the results are in demo_out/, or in OUT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
import os
from pathlib import Path
import signal
import sys
import time
from typing import Any, Optional

ROOT = Path(__file__).resolve().parents[2]
OUT = Path(os.environ.get('OUT') or ROOT / 'demo_out')
sys.path[:0] = [str(ROOT), str(Path(__file__).resolve().parent)]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from processes import Child, end, interrupt, lock_domain, loopback_environment  # noqa: E402

from rdk_yolo_ros.drawing import draw  # noqa: E402
from rdk_yolo_ros.frame import Frame  # noqa: E402

TASKS = ('detect', 'segment', 'pose')
FIRST_RESULT_LIMIT = 40.0  # seconds
NEXT_RESULT_LIMIT = 10.0
END_LIMIT = 1.0


class SettingError(Exception):
    """An environment variable has a value that makes no sense."""


class DemoError(Exception):
    """Something did not work; the message says what."""


@dataclass(frozen=True)
class Settings:
    """What the environment variables ask for; 0 is the source's own."""

    task: str
    source: str
    frames: int
    width: int
    height: int
    rate: float

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """
        Read the environment variables.

        Raises:
            SettingError: one of them makes no sense.

        """
        task = environ.get('TASK') or 'pose'
        if task not in TASKS:
            raise SettingError(f'TASK is {task!r}, expected one of {", ".join(TASKS)}')
        source = environ.get('SOURCE') or 'synthetic'
        if source != 'synthetic':
            path = Path(source).expanduser().absolute()
            if not path.exists():
                raise SettingError(f"SOURCE is {source!r}, which does not exist; expected "
                                   "'synthetic' or the path of a video, pictures, or a bag")
            source = str(path)
        return cls(task, source, _number(environ, 'FRAMES', 300, 1, 10_000_000, int),
                   _number(environ, 'WIDTH', 0, 0, 16384, int),
                   _number(environ, 'HEIGHT', 0, 0, 16384, int),
                   _number(environ, 'RATE', 0.0, 0.0, 1000.0, float))


def _number(environ: Mapping[str, str], name: str, default: Any, low: Any, high: Any,
            kind: Any) -> Any:
    text = environ.get(name) or str(default)
    try:
        value = kind(text)
    except ValueError:
        value = None
    # Not-a-number is neither below nor above.
    if value is None or not low <= value <= high:
        noun = 'a whole number' if kind is int else 'a number'
        raise SettingError(f'{name} is {text!r}, expected {noun} from {low} to {high}')
    return value


def start(settings: Settings, environ: Mapping[str, str]) -> list[Child]:
    """Start source and YOLO node."""
    parameters: dict[str, dict[str, Any]] = {
        # The stream begins when the YOLO node and this process listen.
        'source': {'source': settings.source, 'width': settings.width,
                   'height': settings.height, 'rate': settings.rate, 'wait_for_subscribers': 2},
        'yolo': {'config_file': ROOT / 'config' / f'demo_{settings.task}.json'},
    }
    children: list[Child] = []
    for name, values in parameters.items():
        argv = [sys.executable, '-m', f'rdk_yolo_ros.nodes.{name}', '--ros-args']
        for key, value in values.items():
            # Quoted as YAML, or a path that looks like a number would become one.
            text = str(value) if isinstance(value, (int, float)) else json.dumps(str(value))
            argv += ['-p', f'{key}:={text}']
        children.append(Child(name, argv, environ, ROOT))
    return children


class Run:
    """One run of the demo."""

    def __init__(self, settings: Settings, watcher: Any, children: list[Child]) -> None:
        """Watch `children` through `watcher`."""
        self._settings = settings
        self._watcher = watcher
        self._children = children
        self._began = self._heard = self._printed = time.monotonic()
        self._seen = (0, 0)
        self.stop = False

    def until_end(self) -> None:
        """
        Spin until enough results have come, or `stop` is set.

        Raises:
            DemoError: a process ended, or nothing comes.

        """
        from rclpy.executors import SingleThreadedExecutor
        executor = SingleThreadedExecutor()
        executor.add_node(self._watcher)
        try:
            while not self.stop and self._watcher.frames_out < self._settings.frames:
                before = self._watcher.frames_out
                executor.spin_once(timeout_sec=0.1)
                now = time.monotonic()
                if self._watcher.frames_out > before:
                    self._heard = now
                elif now - self._printed > 0.2:
                    self._check_children()
                self._check_silence(now)
                if now - self._printed >= 1.0:
                    self._print_line(now)
        finally:
            executor.shutdown(timeout_sec=0.2)

    def _check_children(self) -> None:
        for child in self._children:
            code = child.exit_code()
            if code is not None:
                raise DemoError(f'the {child.name} process ended with code {code} after '
                                f'{self._watcher.frames_out} results; its last lines:\n'
                                + _indented(child))

    def _check_silence(self, now: float) -> None:
        limit = NEXT_RESULT_LIMIT if self._watcher.frames_out else FIRST_RESULT_LIMIT
        if now - self._heard < limit:
            return
        what = f'{self._watcher.frames_in} images and {self._watcher.frames_out} results came'
        lines = '\n'.join(f'  {child.name}:\n{_indented(child)}' for child in self._children)
        raise DemoError(f'no result for {limit:g} s; {what} in all; last lines:\n{lines}')

    def _print_line(self, now: float) -> None:
        seconds = now - self._printed
        counts = (self._watcher.frames_in, self._watcher.frames_out)
        rates = [(count - seen) / seconds for count, seen in zip(counts, self._seen)]
        latest = self._watcher.latencies[self._seen[1]:]
        self._printed, self._seen = now, counts
        latency = '      -       -'
        if latest:
            latency = f'{percentile(latest, 50):7.1f} {percentile(latest, 95):7.1f}'
        print(f'{now - self._began:6.1f} s   images {rates[0]:6.1f} /s   results {rates[1]:6.1f} '
              f'/s   latency p50, p95 {latency} ms', flush=True)


def percentile(values: list[float], q: float) -> float:
    """Return the q-th percentile, 0 where there is no value."""
    return float(np.percentile(values, q)) if values else 0.0


def write_results(settings: Settings, watcher: Any) -> None:
    """Write summary.json and overlay.png."""
    OUT.mkdir(parents=True, exist_ok=True)
    summary = {
        'task': settings.task, 'frames_in': watcher.frames_in, 'frames_out': watcher.frames_out,
        'detections': watcher.detections, 'keypoints': watcher.keypoints,
        'latency_ms_p50': round(percentile(watcher.latencies, 50), 2),
        'latency_ms_p95': round(percentile(watcher.latencies, 95), 2),
        'result_fps': round(watcher.result_fps, 2)}
    (OUT / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n')
    print(json.dumps(summary))
    picture = OUT / 'overlay.png'
    if watcher.best is None:
        # An older run's picture would pass for this one's.
        picture.unlink(missing_ok=True)
        print('no result and its image came together: no overlay.png')
        return
    bgr = Frame.from_image(watcher.best['image']).to_bgr()
    cv2.imwrite(str(picture), draw(bgr, watcher.best_detections(), watcher.names))
    print(f'{os.path.relpath(picture)}: the image that shows the most')


def _indented(child: Child) -> str:
    return '\n'.join(f'    {line}' for line in child.last_lines()) or '    (nothing)'


def main() -> int:
    """Run the demo; return the exit code."""
    try:
        settings = Settings.read(os.environ)
    except SettingError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 2
    run: Optional[Run] = None
    interrupted = False

    def on_signal(number: int, frame: Any) -> None:
        nonlocal interrupted
        interrupted = True
        if run is not None:
            run.stop = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    os.environ.update(loopback_environment(ROOT, os.environ))
    # The lock is held as long as its file is open.
    domain, lock = lock_domain()
    os.environ['ROS_DOMAIN_ID'] = str(domain)
    os.environ['PYTHONPATH'] = os.pathsep.join(
        [str(ROOT), *filter(None, [os.environ.get('PYTHONPATH')])])
    # Their last lines are wanted when they end, not when a buffer is full.
    os.environ.update(PYTHONUNBUFFERED='1', RCUTILS_LOGGING_BUFFERED_STREAM='0')
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
        from watcher import Watcher
    except ImportError as error:
        print(f'demo: {error}; source a ROS 2 with vision_msgs first (`make demo` does)',
              file=sys.stderr)
        return 1
    print(f'{settings.task}, {settings.source}, {settings.frames} results, on ROS domain {domain}',
          flush=True)
    children = start(settings, os.environ)
    try:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        watcher = Watcher(settings.task)
        run = Run(settings, watcher, children)
        run.stop = interrupted
        run.until_end()
        # While the results are written the processes have time to end.
        interrupt(children)
        write_results(settings, watcher)
    except DemoError as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    finally:
        interrupt(children)
        end(children, END_LIMIT)
        rclpy.try_shutdown()
        lock.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
