"""
Messages as the bytes that DDS carries (XCDR1), read and written without ROS.

rclpy builds a message field by field and looks at every one of them; a subscription with
`raw=True` hands over the bytes, and `publish` takes them.
"""

from rdk_yolo_ros.cdr.detections import DetectionsWriter
from rdk_yolo_ros.cdr.images import (
    CompressedImageArray,
    ImageArray,
    read_compressed_image,
    read_image,
    read_stamp,
    write_compressed_image,
    write_image,
)
from rdk_yolo_ros.cdr.results import (
    label_image,
    write_classification,
    write_keypoints,
    write_label_info,
)

__all__ = ['CompressedImageArray', 'DetectionsWriter', 'ImageArray', 'label_image',
           'read_compressed_image', 'read_image', 'read_stamp', 'write_classification',
           'write_compressed_image', 'write_image', 'write_keypoints', 'write_label_info']
