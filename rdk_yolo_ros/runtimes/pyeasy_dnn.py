"""PyeasyDnnRuntime: .bin models through hobot_dnn.pyeasy_dnn, in processes of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np

from rdk_yolo_ros.runtimes.base import RuntimeOptions
from rdk_yolo_ros.runtimes.pyeasy_model import import_library
from rdk_yolo_ros.runtimes.worker_runtime import WorkerRuntime

# No colour at all.
_GREY = 128


class PyeasyDnnRuntime(WorkerRuntime):
    """
    A model in the vendor's Python library for RDK X3 and X5; see WorkerRuntime.

    Its `forward` holds Python's lock for the whole inference, so that threads cannot overlap, but
    processes can. The library copies the image into the BPU's memory and the outputs out of it;
    the libdnn runtime does without that. Of several `cores` the workers take turns.

    Some versions copy as many numbers as a padded output has without its padding, from the start
    of the padded memory. Such an output is refused: a model with padded outputs is run once when
    it is opened, to see what the version here does.

    Not yet run on a board.
    """

    name = 'pyeasy_dnn'
    module = 'pyeasy_model'

    def __init__(self, path: Path, nv12_range: Optional[str] = None,
                 options: Optional[RuntimeOptions] = None) -> None:
        """Start the workers and have each load the model."""
        super().__init__(path, nv12_range, options)
        if all(info.aligned_shape is None for info in self.outputs):
            return
        height, width = self.input_hw
        try:
            self.run(np.full((height * 3 // 2, width), _GREY, np.uint8))
        except BaseException:
            self.close()
            raise


def require() -> None:
    """Raise RuntimeUnavailableError unless pyeasy_dnn can be used here."""
    import_library()
