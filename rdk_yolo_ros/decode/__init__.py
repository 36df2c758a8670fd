"""Decoding: a model's output tensors to `Detections`."""

from typing import Optional, Union

from rdk_yolo_ros.decode.classify import ClassifyDecoder
from rdk_yolo_ros.decode.detect import Decoder
from rdk_yolo_ros.decode.obb import ObbDecoder
from rdk_yolo_ros.decode.options import DecodeOptions
from rdk_yolo_ros.decode.pose import PoseDecoder
from rdk_yolo_ros.decode.segment import SegmentDecoder
from rdk_yolo_ros.head_layout import HeadLayout
from rdk_yolo_ros.heads import check_scales

__all__ = ['ClassifyDecoder', 'DecodeOptions', 'Decoder', 'make_decoder']

_DECODERS: dict[str, Union[type[Decoder], type[ClassifyDecoder]]] = {
    'detect': Decoder, 'segment': SegmentDecoder, 'pose': PoseDecoder, 'obb': ObbDecoder,
    'classify': ClassifyDecoder}


def make_decoder(layout: HeadLayout, options: Optional[DecodeOptions] = None,
                 ) -> Union[Decoder, ClassifyDecoder]:
    """
    Return the decoder of a layout's task.

    Raises:
        HeadError: an output holds integers without a scale, or with one along another axis than
            the channels'.
        ValueError: an option does not go with the model.

    """
    check_scales(layout)
    return _DECODERS[layout.task](layout, options or DecodeOptions())
