"""The contract of an image source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Optional

from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources.calibration import Calibration


class SourceError(RdkYoloError):
    """An image source is missing, unreadable, or holds no image."""


@dataclass(frozen=True)
class SourceImage:
    """
    One image and what its source knows about it.

    Attributes:
        frame: the pixels.
        stamp: nanoseconds, when the image was taken; None where the source has no clock.
        frame_id: the camera's coordinate frame; empty where the source knows none.
        calibration: of the camera, at the frame's size; None where the source knows none.

    """

    frame: Frame
    stamp: Optional[int] = None
    frame_id: str = ''
    calibration: Optional[Calibration] = None


class ImageSource(ABC):
    """
    Images in their order, which can be read again from the start.

    Attributes:
        description: what is being read, in a few words.
        rate: images a second as recorded; None where the source has no rate of its own.
        drawn: whether the images are drawn, without an end, and cost more than to keep them.

    """

    description: str
    rate: Optional[float] = None
    drawn: bool = False

    @abstractmethod
    def read(self) -> Optional[SourceImage]:
        """
        Return the next image, or None after the last.

        Raises:
            FrameError: this one image is bad; the next call goes on behind it.
            SourceError: nothing more can be read.

        """

    @abstractmethod
    def rewind(self) -> None:
        """
        Go back to the first image.

        Raises:
            SourceError: the source cannot be read again.

        """

    def close(self) -> None:  # noqa: B027 - most sources have nothing to close
        """Let go of files."""
