"""Scenes that are drawn as they are read."""

from __future__ import annotations

from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources.source import ImageSource, SourceImage
from rdk_yolo_ros.scenes import SceneVideo


class SyntheticSource(ImageSource):
    """The synthetic video of `seed`, width x height pixels, without an end."""

    drawn = True

    def __init__(self, seed: int, width: int, height: int) -> None:
        """Prepare the video; nothing is drawn yet."""
        self.description = f'synthetic scenes, seed {seed}, {width}x{height}'
        self._video = SceneVideo(seed, width, height)
        self._next = 0

    def read(self) -> SourceImage:
        """Draw the next image."""
        image = self._video.frame(self._next).image
        self._next += 1
        return SourceImage(Frame.from_bgr(image))

    def rewind(self) -> None:
        """Start over with the first scene."""
        self._next = 0
