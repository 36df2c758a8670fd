"""Decoding: a model's output tensors to `Detections`."""

from typing import Optional

from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.decode.pose import PoseDecoder
from rdk_yolo_ros.decode.segment import SegmentDecoder
from rdk_yolo_ros.head_layout import HeadLayout

__all__ = ['DecodeOptions', 'Decoder', 'make_decoder']

_DECODERS = {'detect': Decoder, 'segment': SegmentDecoder, 'pose': PoseDecoder}


def make_decoder(layout: HeadLayout, options: Optional[DecodeOptions] = None) -> Decoder:
    """Return the decoder of a layout's task."""
    return _DECODERS[layout.task](layout, options or DecodeOptions())
