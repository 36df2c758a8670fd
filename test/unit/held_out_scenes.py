"""Detections on held-out scenes through a board's runtime, against ONNX Runtime's."""

from functools import cache
from pathlib import Path

import numpy as np

from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.runtimes.onnx import OnnxRuntime
from rdk_yolo_ros.scenes import render_scene
from rdk_yolo_ros.work_config import WorkConfig

MODELS = Path(__file__).parents[2] / 'models'
# As in dev/demo_models: of the held-out scenes, which training never saw.
SIZES = ((640, 480), (640, 640), (1280, 720))
SCENES = range(30)
# So low that a figure made of the detections, mAP included, is the same where they are.
OPTIONS = {'score_threshold': 0.001, 'max_detections': 100}


def nv12_of(seed):
    """Return a scene as a camera delivers it, a Frame."""
    scene = render_scene(seed, *SIZES[seed % len(SIZES)])
    return Frame.from_nv12(Frame.from_bgr(scene.image).to_nv12())


@cache
def on_pc(name):
    """Return what a demo model finds in each scene through ONNX Runtime."""
    onnx = MODELS / f'{name}.onnx'
    config = WorkConfig.from_mapping({'model_file': str(onnx)})
    with OnnxRuntime(onnx, threads=1) as network, \
            Predictor.from_config(config, network, **OPTIONS) as predictor:
        return [predictor(nv12_of(seed)) for seed in SCENES]


def assert_detections_are_those_of_a_pc(name, path, runtime):
    """
    Compare every detection of every scene, to the last bit.

    Args:
        name: the demo model's.
        path: the board's model.
        runtime: its runtime's name.

    """
    # What the .onnx file's metadata says, a board's file cannot.
    settings = {'task': 'pose'} if 'pose' in name else {'task': 'segment', 'class_num': 4}
    config = WorkConfig.from_mapping({'model_file': str(path), 'runtime': runtime, **settings})
    found = 0
    with Predictor.from_config(config, inference_timeout=60, **OPTIONS) as board:
        assert board.runtime.name == runtime
        for seed, expected in zip(SCENES, on_pc(name)):
            frame = nv12_of(seed)
            ours = board(frame)
            found += int((expected.scores > 0.5).sum())
            for field in ('boxes', 'scores', 'class_ids', 'keypoints'):
                np.testing.assert_array_equal(getattr(ours, field), getattr(expected, field),
                                              err_msg=f'scene {seed}: {field}')
            if expected.masks is not None:
                np.testing.assert_array_equal(ours.masks.to_label_image(*frame.hw),
                                              expected.masks.to_label_image(*frame.hw))
    assert found > 30
