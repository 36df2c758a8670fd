"""Timing of several ways to do one thing, so that their ratio means something."""

from __future__ import annotations

from collections.abc import Callable
import os
import platform
import time

import numpy as np


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
