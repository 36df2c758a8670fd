"""Make the test directory's own modules importable, whatever directory pytest starts in."""

from pathlib import Path
import sys

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))

# How long an example takes says nothing on a machine that does other things, too.
settings.register_profile('rdk_yolo_ros', deadline=None)
settings.load_profile('rdk_yolo_ros')
