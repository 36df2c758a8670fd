"""Pictures from a folder, or a single one."""

from __future__ import annotations

from pathlib import Path
import re
from typing import Optional, Union

import cv2

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.image_sources.source import ImageSource, SourceError, SourceImage

_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.ppm', '.tif', '.tiff', '.webp')


def is_picture(path: Path) -> bool:
    """Tell by its name whether a file is a picture."""
    return path.suffix.lower() in _SUFFIXES


class FolderSource(ImageSource):
    """A folder's pictures in the order of their names, numbers in them counted as numbers."""

    def __init__(self, path: Path) -> None:
        """
        List the pictures of a folder, or take one picture.

        Raises:
            SourceError: there is no picture.

        """
        self._paths: list[Path] = [path]
        if path.is_dir():
            self._paths = sorted((child for child in path.iterdir() if is_picture(child)),
                                 key=_natural)
            if not self._paths:
                raise SourceError(f'{path} holds no picture; expected {", ".join(_SUFFIXES)}')
        self.description = f'{len(self._paths)} picture(s) of {path}'
        self._next = 0
        # A single picture repeated at a camera's rate is decoded only once.
        self._last: Optional[tuple[Path, Frame]] = None
        if len(self._paths) == 1:
            try:
                self._load(self._paths[0])
            except FrameError as error:
                raise SourceError(str(error)) from None

    def read(self) -> Optional[SourceImage]:
        """Return the next picture; see ImageSource."""
        if self._next == len(self._paths):
            return None
        path = self._paths[self._next]
        self._next += 1
        return SourceImage(self._load(path))

    def rewind(self) -> None:
        """Go back to the first picture."""
        self._next = 0

    def _load(self, path: Path) -> Frame:
        if self._last is None or self._last[0] != path:
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
            if picture is None:
                raise FrameError(f'{path} is no picture that OpenCV can read')
            self._last = (path, Frame.from_bgr(picture))
        return self._last[1]


def _natural(path: Path) -> list[tuple[int, Union[int, str]]]:
    parts = re.split(r'(\d+)', path.name.lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]
