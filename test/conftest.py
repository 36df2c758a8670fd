"""What all tests share."""

from hypothesis import settings

# How long an example takes says nothing on a machine that does other things, too.
settings.register_profile('rdk_yolo_ros', deadline=None)
settings.load_profile('rdk_yolo_ros')
