"""
Which output tensor is which YOLO head.

Recognition works from shapes and never from a tensor's position or name: exporters disagree on
the order of the outputs, and a wrong guess decodes to nonsense. Where shapes alone allow two
readings, HeadError lists them and the keys that settle the matter.
"""

from rdk_yolo_ros.head_layout import Head, HeadLayout, Level, Table
from rdk_yolo_ros.heads.identify import identify_heads
from rdk_yolo_ros.heads.reading import ROLES
from rdk_yolo_ros.heads.scales import check_scales
from rdk_yolo_ros.tensors import TensorInfo

__all__ = ['Head', 'HeadLayout', 'Level', 'ROLES', 'Table', 'TensorInfo', 'check_scales',
           'identify_heads']
