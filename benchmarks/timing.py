"""Timing of several ways to do one thing, so that their ratio means something."""

from __future__ import annotations

from collections.abc import Callable
import os
import platform
import time

import numpy as np

from rdk_yolo_ros.cli.process_use import family

_TICKS = os.sysconf('SC_CLK_TCK')


def interleaved(ways: dict[str, Callable[[], object]], rounds: int = 60,
                warm_up: int = 5) -> dict[str, np.ndarray]:
    """
    Return seconds a call for each way, measured in turns.

    The ways alternate, so that a machine that slows down for a while slows them all.

    Returns:
        float64 (rounds,) by name.

    """
    seconds = {name: np.empty(rounds) for name in ways}
    for _ in range(warm_up):
        for way in ways.values():
            way()
    for i in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name][i] = time.perf_counter() - start
    return seconds


def machine() -> str:
    """Return the kind of machine, as figures are quoted with it."""
    model = platform.processor() or platform.machine()
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            model = next(line.split(':')[1].strip() for line in file
                         if line.startswith('model name'))
    except (OSError, StopIteration):
        pass
    return f'{os.cpu_count()}-core {model}, Python {platform.python_version()}'


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and its descendants, seconds."""
    ticks = 0
    for member in family(own=pid):
        with open(f'/proc/{member}/stat', encoding='utf-8', errors='replace') as file:
            fields = file.read().rpartition(')')[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime, proc(5)
    return ticks / _TICKS
