"""Video files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources.source import ImageSource, SourceError, SourceImage


class VideoSource(ImageSource):
    """The pictures of a video file, as OpenCV decodes them."""

    def __init__(self, path: Path) -> None:
        """
        Open a video.

        Raises:
            SourceError: no video, or none that this OpenCV decodes.

        """
        self._path = path
        self._capture = cv2.VideoCapture()
        self._first: Optional[np.ndarray] = None
        self.rewind()
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        # Containers without a rate say 0, NaN, or the 1000 or more ticks of their clock.
        self.rate = rate if math.isfinite(rate) and 0 < rate < 1000 else None
        self.description = f'video {path}'

    def read(self) -> Optional[SourceImage]:
        """Return the next picture; see ImageSource."""
        if self._first is not None:
            picture, self._first = self._first, None
            return SourceImage(Frame.from_bgr(picture))
        there_is_one, decoded = self._capture.read()
        return SourceImage(Frame.from_bgr(np.asarray(decoded))) if there_is_one else None

    def rewind(self) -> None:
        """Open the file again: seeking is not exact in every container."""
        if not self._capture.open(str(self._path)):
            raise SourceError(f'{self._path} is no picture, bag or video that OpenCV can open')
        # A file cut off in its header opens, and then has no picture.
        there_is_one, picture = self._capture.read()
        if not there_is_one:
            raise SourceError(f'{self._path} opens as a video, but no picture can be decoded')
        self._first = np.asarray(picture)

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
