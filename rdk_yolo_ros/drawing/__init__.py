"""Drawing: boxes, key points and masks on a picture."""

from rdk_yolo_ros.drawing.canvas import line_width
from rdk_yolo_ros.drawing.marks import (
    COCO_SKELETON,
    ClassNames,
    class_colour,
    draw,
    draw_on_bgr,
    draw_on_nv12,
)

__all__ = ['COCO_SKELETON', 'ClassNames', 'class_colour', 'draw', 'draw_on_bgr', 'draw_on_nv12',
           'line_width']
