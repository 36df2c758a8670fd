"""
The YOLO node's resident memory over 5,000 frames, on a real ROS graph.

Source and node run as processes of their own, as in the demo; this process subscribes to the
detections, counts them, and reads the node's resident set from /proc.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
import sys
import tempfile
import time

import cv2

from benchmarks.timing import machine
from rdk_yolo_ros.scenes import render_scene

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import Child, end, interrupt, lock_domain, loopback_environment  # noqa: E402

BAR_MB, BAR_GROWTH = 250.0, 0.01
WARM_UP = 500  # frames, after which every buffer has its size
SILENCE_LIMIT_S = 30.0


def resident_mb(pid: int) -> float:
    """Return a process' resident set, in MB of 10^6 bytes; shared pages count."""
    with open(f'/proc/{pid}/statm', encoding='ascii') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6


def measure(frames: int, width: int, height: int, rate: float) -> tuple[list[float], float]:
    """Return the resident MB after WARM_UP and every 250 frames more, and the seconds taken."""
    os.environ.update(loopback_environment(ROOT, os.environ))
    domain, lock = lock_domain()
    os.environ['ROS_DOMAIN_ID'] = str(domain)
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from vision_msgs.msg import Detection2DArray

    with tempfile.TemporaryDirectory(prefix='rdk_yolo_ros-') as folder:
        for i in range(8):
            cv2.imwrite(f'{folder}/{i}.png', render_scene(i, width, height).image)
        children = []
        try:
            for node, parameters in (
                    ('source', [f'source:="{folder}"', f'rate:={rate}', 'loop:=true']),
                    ('yolo', [f'config_file:={ROOT}/config/demo_pose.json'])):
                argv = [sys.executable, '-m', f'rdk_yolo_ros.nodes.{node}', '--ros-args']
                for parameter in parameters:
                    argv += ['-p', parameter]
                children.append(Child(node, argv, {**os.environ, 'PYTHONPATH': os.pathsep.join(
                    [str(ROOT), os.environ.get('PYTHONPATH', '')])}, ROOT))
            rclpy.init()
            listener = Node('memory_benchmark')
            count = 0

            def on_detections(message: Detection2DArray) -> None:
                nonlocal count
                count += 1

            listener.create_subscription(Detection2DArray, 'yolo/detections', on_detections, 10)
            executor = SingleThreadedExecutor()
            executor.add_node(listener)
            resident: list[float] = []
            begin = heard = time.monotonic()
            while count < frames:
                before = count
                executor.spin_once(timeout_sec=0.5)
                if count > before:
                    heard = time.monotonic()
                    if count >= WARM_UP and (count - WARM_UP) % 250 == 0:
                        resident.append(resident_mb(children[1].pid))
                elif time.monotonic() - heard > SILENCE_LIMIT_S:
                    raise SystemExit(f'memory benchmark: no result for {SILENCE_LIMIT_S:g} s '
                                     f'after {count}; {children[1].last_lines()}')
            seconds = time.monotonic() - begin
            listener.destroy_node()
            rclpy.try_shutdown()
        finally:
            interrupt(children)
            end(children, 5.0)
            lock.close()
    return resident, seconds


def main() -> None:
    """Print the resident set at the start and at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--frames', type=int, default=5000)
    parser.add_argument('--width', type=int, default=640)
    parser.add_argument('--height', type=int, default=480)
    parser.add_argument('--rate', type=float, default=60.0)
    args = parser.parse_args([] if __name__ != '__main__' else None)
    print(f'yolo node, pose model, {args.width}x{args.height} ({machine()})')
    resident, seconds = measure(args.frames, args.width, args.height, args.rate)
    growth = resident[-1] / resident[0] - 1
    print(f'  resident after {WARM_UP} frames {resident[0]:.1f} MB, after {args.frames} '
          f'{resident[-1]:.1f} MB, at most {max(resident):.1f} MB; growth {growth:+.2%}; '
          f'{args.frames / seconds:.0f} results a second')
    print(f'  bars: under {BAR_MB:g} MB '
          f'{"holds" if max(resident) < BAR_MB else "MISSED"}; growth under {BAR_GROWTH:.0%} '
          f'{"holds" if growth < BAR_GROWTH else "MISSED"}')


if __name__ == '__main__':
    main()
