"""A ROS domain of a benchmark's own, on this machine alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import sys

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'dev' / 'demo'))
from processes import DDS_VARIABLES, lock_domain, loopback_environment  # noqa: E402


@contextmanager
def own_domain() -> Iterator[None]:
    """Set the variables that rclpy and child processes read, and put back what was there."""
    domain, lock = lock_domain()
    # Whatever profile the user has: this one has room for large images, on this machine alone.
    plain = {name: value for name, value in os.environ.items() if name not in DDS_VARIABLES}
    variables = {**loopback_environment(ROOT, plain), 'ROS_DOMAIN_ID': str(domain)}
    before = {name: os.environ.get(name) for name in variables}
    with lock:
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
