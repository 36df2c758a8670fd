"""Synthetic scenes with exact ground truth: what the demo models learn and the demo shows."""

from .compose import render_scene
from .scene import CLASS_NAMES, KEYPOINT_NAMES, Instance, Scene
from .video import SceneVideo

__all__ = ['CLASS_NAMES', 'KEYPOINT_NAMES', 'Instance', 'Scene', 'SceneVideo', 'render_scene']
