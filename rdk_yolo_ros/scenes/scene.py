"""What a rendered scene is: a picture and the exact truth about it."""

from dataclasses import dataclass, field
from typing import Optional

import numpy as np

CLASS_NAMES = ('person', 'ball', 'box', 'cone')

KEYPOINT_NAMES = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear',
    'left_shoulder', 'right_shoulder', 'left_elbow', 'right_elbow',
    'left_wrist', 'right_wrist', 'left_hip', 'right_hip',
    'left_knee', 'right_knee', 'left_ankle', 'right_ankle')

PERSON, BALL, BOX, CONE = range(4)


@dataclass
class Instance:
    """One labelled thing in a scene.

    Coordinates are image pixels, x right, y down; pixel (0, 0) covers [0, 1) x [0, 1).
    """

    class_id: int
    box: np.ndarray
    """float32 (4,): x1 y1 x2 y2 of the visible pixels."""
    mask: np.ndarray
    """bool (h, w): the visible pixels inside the box; see `full_mask`."""
    mask_offset: tuple[int, int]
    """x, y of the mask's first pixel in the image."""
    keypoints: Optional[np.ndarray] = None
    """float32 (17, 3): x, y, visibility as in COCO (2 visible, 1 hidden, 0 outside the image,
    then x and y are 0); None for everything but persons."""

    def full_mask(self, height: int, width: int) -> np.ndarray:
        """Return the visible pixels as a bool (height, width) array."""
        full = np.zeros((height, width), bool)
        x, y = self.mask_offset
        full[y:y + self.mask.shape[0], x:x + self.mask.shape[1]] = self.mask
        return full


@dataclass
class Scene:
    """A picture, uint8 (H, W, 3) BGR, and the instances in it, farthest first."""

    image: np.ndarray
    instances: list[Instance] = field(default_factory=list)
