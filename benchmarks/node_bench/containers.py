"""
Source, YOLO node and overlay in three processes, and the same nodes in one component container.

What is counted is the processor time of the nodes' processes, all of their threads, for a number
of pictures that arrive in a process outside.
"""

from __future__ import annotations

from dataclasses import dataclass
import os
from pathlib import Path
import struct
import sys
import tempfile
import time
from typing import Any

import cv2
import numpy as np

from benchmarks.pipeline_bench.models import PEOPLE, write_model
from benchmarks.ros_domain import ROOT, own_domain
from benchmarks.timing import cpu_seconds
from rdk_yolo_ros.scenes import render_scene

sys.path[:0] = [str(ROOT / 'dev' / 'demo'), str(ROOT / 'test')]
from component_package import install_own, python_path  # noqa: E402
from processes import Child, end, interrupt  # noqa: E402

WIDTH, HEIGHT, RATE = 1920, 1080, 30.0
# The most that the container may take of the three processes' time.
BAR = 0.5
ROUNDS, PICTURES = 3, 200
WAYS = ('three processes', 'one container')

_PLUGINS = {'source': 'SourceNode', 'yolo': 'YoloNode', 'overlay': 'OverlayNode'}
_WARM_UP_S, _START_LIMIT_S = 4.0, 60.0
# Pictures without results come later than this, after the overlay's timeout.
_LATE_S = 0.4


@dataclass(frozen=True)
class Measured:
    """
    One way's cost.

    Attributes:
        cpu_s: processor seconds of the nodes' processes, a picture that arrived.
        rate: pictures a second that arrived.
        latencies: seconds from an image's stamp to the picture's arrival.

    """

    cpu_s: float
    rate: float
    latencies: np.ndarray

    def __str__(self) -> str:
        """Return the figures in words."""
        middle, high = np.percentile(self.latencies, (50, 95)) * 1e3
        return (f'{self.cpu_s * 1e3:5.2f} ms CPU a picture, {self.cpu_s * RATE:6.1%} of a core '
                f'at {RATE:g} Hz; {self.rate:.1f} pictures a second, {middle:.0f} / {high:.0f} ms '
                'p50 / p95 from stamp to receipt')


def measure_containers(rounds: int = ROUNDS, pictures: int = PICTURES) -> dict[str, Measured]:
    """
    Return what each of WAYS costs, measured in turns.

    Args:
        rounds: how often each is started.
        pictures: how many pictures are waited for each time.

    Raises:
        SystemExit: a process ended, or no picture with results came; with its last lines.

    """
    parts: dict[str, list[tuple[float, float, np.ndarray]]] = {way: [] for way in WAYS}
    with own_domain(), tempfile.TemporaryDirectory(prefix='rdk_yolo_ros-') as folder:
        config, variables = write_model('libdnn', Path(folder))
        variables['PYTHONPATH'] = python_path(install_own(Path(folder) / 'own'),
                                              variables['PYTHONPATH'])
        parameters = node_parameters(config, write_pictures(Path(folder) / 'pictures'))
        for _ in range(rounds):
            for way in WAYS:
                parts[way].append(_measure(way, parameters, {**os.environ, **variables},
                                           pictures))
    return {way: Measured(sum(cpu for cpu, _, _ in found) / (rounds * pictures),
                          rounds * pictures / sum(seconds for _, seconds, _ in found),
                          np.concatenate([latencies for _, _, latencies in found]))
            for way, found in parts.items()}


def write_pictures(folder: Path) -> Path:
    """Write a few pictures, which the source node reads once, and return their folder."""
    folder.mkdir()
    for seed in range(4):
        cv2.imwrite(str(folder / f'{seed}.png'), render_scene(seed, WIDTH, HEIGHT).image)
    return folder


def node_parameters(config: Path, pictures: Path) -> dict[str, dict[str, Any]]:
    """Return the parameters of each node; the model is a stand-in that takes no processor time."""
    return {'source': {'source': str(pictures), 'rate': RATE, 'encoding': 'nv12'},
            'yolo': {'config_file': str(config)},
            'overlay': {'encoding': 'nv12'}}


def _measure(way: str, parameters: dict[str, dict[str, Any]], environment: dict[str, str],
             pictures: int) -> tuple[float, float, np.ndarray]:
    """Return processor seconds, seconds, and latencies of so many pictures."""
    import rclpy
    from rclpy.context import Context
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from sensor_msgs.msg import Image

    children: list[Child] = []
    latencies: list[float] = []

    def on_picture(message: bytes) -> None:
        seconds, nanoseconds = struct.unpack_from('<iI', message, 4)
        latencies.append(time.time() - seconds - nanoseconds * 1e-9)

    context = Context()
    try:
        rclpy.init(context=context)
        node = Node('viewer', context=context)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        if way == WAYS[0]:
            children += [_start(name, environment, given) for name, given in parameters.items()]
        else:
            children.append(_start('container', environment, {}))
            _load(node, executor, children[0], parameters)
        # As rviz2 subscribes.
        node.create_subscription(Image, 'overlay/image', on_picture, 5, raw=True)
        _spin(executor, time.monotonic() + _START_LIMIT_S, lambda: bool(latencies))
        _spin(executor, time.monotonic() + _WARM_UP_S)
        _check(children, '' if latencies else 'no picture came')
        first, began = len(latencies), time.monotonic()
        busy = sum(cpu_seconds(child.pid) for child in children)
        _spin(executor, began + 3 * pictures / RATE, lambda: len(latencies) >= first + pictures)
        busy = sum(cpu_seconds(child.pid) for child in children) - busy
        elapsed = time.monotonic() - began
        arrived = np.array(latencies[first:first + pictures])
        fault = ''
        if len(arrived) < pictures:
            fault = (f'{len(arrived)} of {pictures} pictures came in {elapsed:.0f} s: is the '
                     'machine busy with something else?')
        elif np.median(arrived) > _LATE_S:
            fault = f'the pictures came without the {PEOPLE} people'
        _check(children, fault)
        return busy, elapsed, arrived
    finally:
        interrupt(children)
        end(children, 5.0)
        if context.ok():
            node.destroy_node()
            context.try_shutdown()


def _start(name: str, environment: dict[str, str], parameters: dict[str, Any]) -> Child:
    arguments = [word for key, value in parameters.items() for word in ('-p', f'{key}:={value}')]
    return Child(name, [sys.executable, '-m', f'rdk_yolo_ros.nodes.{name}', '--ros-args',
                        *arguments], environment, ROOT)


def _load(node: Any, executor: Any, container: Child,
          parameters: dict[str, dict[str, Any]]) -> None:
    """Load the nodes into a container, as `ros2 component load` and launch files do."""
    from composition_interfaces.srv import LoadNode
    from rclpy.parameter import Parameter

    client = node.create_client(LoadNode, '/ComponentManager/_container/load_node')
    if not client.wait_for_service(_START_LIMIT_S):
        raise SystemExit(f'container benchmark: no container: {container.last_lines()}')
    for name, given in parameters.items():
        request = LoadNode.Request(package_name='rdk_yolo_ros',
                                   plugin_name=f'rdk_yolo_ros::{_PLUGINS[name]}')
        request.parameters = [Parameter(key, value=value).to_parameter_msg()
                              for key, value in given.items()]
        request.extra_arguments = [
            Parameter('use_intra_process_comms', value=True).to_parameter_msg()]
        future = client.call_async(request)
        _spin(executor, time.monotonic() + _START_LIMIT_S, future.done)
        response = future.result() if future.done() else None
        if response is None or not response.success:
            raise SystemExit(f'container benchmark: {name} was not loaded: '
                             f'{response.error_message if response else "no answer"}')
    node.destroy_client(client)


def _spin(executor: Any, until: float, done: Any = lambda: False) -> None:
    while time.monotonic() < until and not done():
        executor.spin_once(timeout_sec=max(0.0, min(0.1, until - time.monotonic())))


def _check(children: list[Child], fault: str) -> None:
    ended = [child for child in children if child.exit_code() is not None]
    if ended or fault:
        raise SystemExit(
            'container benchmark: ' + ('a process ended' if ended else fault)
            + ''.join(f'; {child.name}: {child.last_lines()[-3:]}' for child in ended or children))
