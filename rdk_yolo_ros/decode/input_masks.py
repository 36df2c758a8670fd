"""Instance masks at the model input's resolution: Ultralytics' default form."""

from __future__ import annotations

from functools import lru_cache
from typing import Union

import numpy as np

from rdk_yolo_ros.decode.masks import PrototypeMasks
from rdk_yolo_ros.letterbox import Letterbox
from rdk_yolo_ros.tensors import TensorInfo


class InputMasks:
    """
    N instance masks, thresholded and cropped in the model's input (upstream's process_mask).

    A pixel of the source image, or of a picture of it, has the value of the input pixel in which
    its centre lies.
    """

    def __init__(self, masks: PrototypeMasks, letterbox: Letterbox) -> None:
        """
        Take masks over the model's input.

        Args:
            masks: with the input as their source image.
            letterbox: how the source image lies in the model's input.

        """
        self._masks = masks
        self._letterbox = letterbox

    @classmethod
    def combine(cls, prototypes: np.ndarray, info: TensorInfo, coefficients: np.ndarray,
                boxes: np.ndarray, letterbox: Letterbox) -> InputMasks:
        """
        Combine prototypes under each box.

        Args:
            prototypes: (H, W, C), stored numbers; not kept.
            info: their description, for dequantizing.
            coefficients: float32 (N, C).
            boxes: float32 (N, 4), model-input pixels.
            letterbox: how the source image lies in the model's input.

        """
        whole = _whole_input(letterbox.model_hw)
        return cls(PrototypeMasks.combine(prototypes, info, coefficients, boxes, whole), letterbox)

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self._masks)

    def __getitem__(self, index: Union[slice, np.ndarray]) -> InputMasks:
        """Return the masks of the instances that a slice, a boolean or integer array selects."""
        return InputMasks(self._masks[index], self._letterbox)

    def full(self, i: int) -> np.ndarray:
        """Return instance i's mask over the source image, bool (h, w)."""
        return self._stretched(self._masks.full(i), *self._letterbox.source_hw)

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        """
        Return one picture of all instances: 0 background, i + 1 instance i.

        Args:
            height, width: its size in pixels; the source image is scaled to it.

        Returns:
            uint8 (height, width), or uint16 past 255 instances. Where masks overlap the better
            score wins.

        """
        labels = self._masks.to_label_image(*self._letterbox.model_hw)
        return self._stretched(labels, height, width)

    def _stretched(self, picture: np.ndarray, height: int, width: int) -> np.ndarray:
        """Return the image's part of a picture of the model's input, (height, width)."""
        box = self._letterbox
        if (height, width) == box.resized_hw:
            return np.ascontiguousarray(
                picture[box.top:box.top + height, box.left:box.left + width])
        rows = _nearest(height, box.resized_hw[0], box.top)
        columns = _nearest(width, box.resized_hw[1], box.left)
        # Whole rows first: taking columns of the rows that are wanted is what costs.
        return picture.take(columns, axis=1).take(rows, axis=0)


@lru_cache(maxsize=16)
def _whole_input(hw: tuple[int, int]) -> Letterbox:
    """Return the geometry of the model's input itself."""
    return Letterbox.identity(hw)


def _nearest(pixels: int, resized: int, first: int) -> np.ndarray:
    """Return the input row or column in which each of so many pixels' centres lies, intp."""
    # Whole numbers: a centre on the border of two input pixels must not depend on rounding.
    return first + (2 * np.arange(pixels) + 1) * resized // (2 * pixels)
