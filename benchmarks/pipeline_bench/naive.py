"""
The loop of the vendor's Python samples as a node: forward, then decode, in one thread.

Run as a process: CONFIG RUNTIME. Letterbox, decoder and messages are this package's own, so that
what differs from the node is only who waits for whom.
"""

from __future__ import annotations

from pathlib import Path
import sys

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

from rdk_yolo_ros.nodes.images import frame_from_message
from rdk_yolo_ros.nodes.perception import Work
from rdk_yolo_ros.nodes.qos import IMAGE_QOS
from rdk_yolo_ros.nodes.results import ResultPublishers
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.runtimes import Runtime, RuntimeOptions, open_runtime
from rdk_yolo_ros.runtimes.pyeasy_model import LoadedModel
from rdk_yolo_ros.work_config import WorkConfig


class ForwardRuntime(Runtime):
    """pyeasy_dnn in this process, where its forward() holds Python's lock."""

    name = 'pyeasy_dnn'

    def __init__(self, path: Path) -> None:
        """Load the model."""
        self.path = path
        self._model = LoadedModel(path)
        self.input_hw, self.outputs = self._model.input_hw, self._model.outputs
        self._arrays = [np.empty(info.shape, info.dtype) for info in self.outputs]

    def run(self, nv12: np.ndarray) -> list[np.ndarray]:
        """See Runtime.run; the arrays are overwritten by the next call."""
        self._model.run(nv12, self._arrays)
        return self._arrays

    def close(self) -> None:
        """See Runtime.close."""


def main(config_path: str, name: str) -> None:
    """Predict in the subscription's own callback."""
    config = WorkConfig.load(config_path)
    runtime = ForwardRuntime(config.model_file) if name == 'pyeasy_dnn' else \
        open_runtime(config.model_file, name, options=RuntimeOptions(slots=1))
    predictor = Predictor.from_config(config, runtime)
    rclpy.init()
    node = Node('yolo')
    results = ResultPublishers(node, predictor.task, predictor.class_names, 'name')

    def on_image(message: Image) -> None:
        frame = frame_from_message(message)
        prediction = predictor.predict(frame, extras=results.needs_extras())
        results.publish(prediction.detections, message.header, frame.hw,
                        Work(0.0, prediction.timings))

    node.create_subscription(Image, 'image_raw', on_image, IMAGE_QOS)
    try:
        rclpy.spin(node)
    except KeyboardInterrupt:
        pass
    except Exception:
        if rclpy.ok():
            raise


if __name__ == '__main__':
    main(*sys.argv[1:3])
