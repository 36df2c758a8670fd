"""Where images come from when no camera is there: videos, pictures, bags, synthetic scenes."""

from __future__ import annotations

from pathlib import Path

from rdk_yolo_ros.image_sources.calibration import Calibration
from rdk_yolo_ros.image_sources.conform import ENCODINGS, conform
from rdk_yolo_ros.image_sources.prefetch import Prefetch
from rdk_yolo_ros.image_sources.source import ImageSource, SourceError, SourceImage

__all__ = ['Calibration', 'ENCODINGS', 'ImageSource', 'Prefetch', 'SourceError', 'SourceImage',
           'conform', 'open_source']

SYNTHETIC = 'synthetic'
_BAG_FILES = ('.db3', '.mcap')


def open_source(uri: str, width: int = 0, height: int = 0, seed: int = 0,
                topic: str = '', color_range: str = 'full') -> ImageSource:
    """
    Open `uri`: 'synthetic', or the path of a video, a picture, a folder of pictures, or a bag.

    Width and height, pixels, only guide a source that can draw at any size; `seed` picks one of
    its videos. `topic` is the image topic of a bag, which may be left out if there is only one,
    and `color_range` what its YUV images are in, 'full' or 'limited': a bag does not say.

    Raises:
        SourceError: nothing there, or nothing that can be read.

    """
    # Imported as needed, so that a picture needs neither rosbags nor the scene renderer.
    if uri == SYNTHETIC:
        from rdk_yolo_ros.image_sources.synthetic import SyntheticSource
        return SyntheticSource(seed, width or 640, height or 480)
    path = Path(uri).expanduser()
    if not uri or not path.exists():
        raise SourceError(f"source {uri!r} does not exist; expected '{SYNTHETIC}' or the path of "
                          'a video, a picture, a folder of pictures, or a bag')
    if path.suffix in _BAG_FILES or (path / 'metadata.yaml').is_file():
        from rdk_yolo_ros.image_sources.bag import BagSource
        return BagSource(path, topic, color_range)
    from rdk_yolo_ros.image_sources.folder import FolderSource, is_picture
    if path.is_dir() and any(child.suffix in _BAG_FILES for child in path.iterdir()):
        raise SourceError(f'{path} holds bag files but no metadata.yaml: `ros2 bag reindex` '
                          'writes it anew, or give the file itself')
    if path.is_dir() or is_picture(path):
        return FolderSource(path)
    from rdk_yolo_ros.image_sources.video import VideoSource
    return VideoSource(path)
