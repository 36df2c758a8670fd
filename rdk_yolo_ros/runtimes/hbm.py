"""HbmRuntime: .hbm and .bin models through hbm_runtime, in processes of their own."""

from __future__ import annotations

from rdk_yolo_ros.runtimes.hbm_model import import_library
from rdk_yolo_ros.runtimes.worker_runtime import WorkerRuntime


class HbmRuntime(WorkerRuntime):
    """
    A model in the vendor's Python library for RDK X5 and the S boards; see WorkerRuntime.

    Whether its `run` leaves Python's lock to others is not documented, nor is a time limit. So it
    runs in worker processes, too. Several `cores` are given to the library as they are.

    Not yet run on a board.
    """

    name = 'hbm'
    module = 'hbm_model'


def require() -> None:
    """Raise RuntimeUnavailableError unless hbm_runtime can be used here."""
    import_library()
