"""A stand-in for a Predictor, for tests of what the node does around it."""

from array import array
import threading
from types import SimpleNamespace

from builtin_interfaces.msg import Time
import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rdk_yolo_ros.decode import DecodeOptions
from rdk_yolo_ros.detections import Detections
from rdk_yolo_ros.predictor import Prediction, _changed

NAMES = ('person', 'ball', 'robot')


class StandInPredictor:
    """A Predictor without a model: finds one instance in a frame whose first pixel is not 0."""

    def __init__(self, task='pose', slots=1):
        self.task = task
        self.class_names = NAMES
        self.keypoint_names = ('head', 'foot')
        self.options = DecodeOptions()
        self.runtime = SimpleNamespace(name='stand-in', slots=slots, input_hw=(640, 640))
        self.give_up_after = None
        self.extras = []
        self.gate = threading.Event()
        self.gate.set()
        self.calls = 0
        self.closed = False

    def predict(self, frame, extras=True):
        self.calls += 1
        self.extras.append(extras)
        assert self.gate.wait(30.0)
        frame.to_bgr()
        detections = Detections.empty(self.task, 2)
        if frame.data[0]:
            detections = Detections(
                np.array([[10, 20, 30, 60]], np.float32), np.array([0.5], np.float32),
                np.array([1], np.int32),
                keypoints=np.array([[[11, 22, 0.75], [13, 24, 0.25]]], np.float32)
                if self.task == 'pose' and extras else None,
                masks=StandInMasks() if self.task == 'segment' and extras else None)
        return Prediction(detections, {'letterbox': 0.001, 'infer': 0.002, 'decode': 0.003})

    def set_options(self, **changes):
        self.options = _changed(self.options, changes, self.class_names)

    def close(self):
        self.closed = True


class StandInMasks:
    """One mask: everything."""

    def __len__(self):
        return 1

    def to_label_image(self, height, width):
        return np.ones((height, width), np.uint8)


def nv12_image(width=64, height=48, value=7, seq=1):
    return Image(header=Header(stamp=Time(sec=1000 + seq, nanosec=seq), frame_id=f'camera_{seq}'),
                 encoding='nv12', height=height, width=width, step=width,
                 data=array('B', bytes([value]) * (width * height * 3 // 2)))
