"""Synthetic scenes with exact ground truth: what the demo models learn and the demo shows."""

from rdk_yolo_ros.scenes.compose import render_scene
from rdk_yolo_ros.scenes.scene import CLASS_NAMES, KEYPOINT_NAMES, Instance, Scene
from rdk_yolo_ros.scenes.video import SceneVideo

__all__ = ['CLASS_NAMES', 'KEYPOINT_NAMES', 'Instance', 'Scene', 'SceneVideo', 'render_scene']
