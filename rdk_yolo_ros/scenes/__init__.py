# Copyright 2025 rdk_yolo_ros contributors
# SPDX-License-Identifier: Apache-2.0
"""Synthetic scenes with exact ground truth: what the demo models learn and the demo shows."""

from .compose import render_scene
from .scene import CLASS_NAMES, KEYPOINT_NAMES, Instance, Scene

__all__ = ['CLASS_NAMES', 'KEYPOINT_NAMES', 'Instance', 'Scene', 'render_scene']
