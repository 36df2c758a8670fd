"""
Messages as the bytes that DDS carries (XCDR1), read and written without ROS.

rclpy builds a message field by field and looks at every one of them; a subscription with
`raw=True` hands over the bytes, and `publish` takes them.
"""

from rdk_yolo_ros.cdr.images import (
    CompressedImageArray,
    ImageArray,
    read_compressed_image,
    read_image,
    read_stamp,
)

__all__ = ['CompressedImageArray', 'ImageArray', 'read_compressed_image', 'read_image',
           'read_stamp']
