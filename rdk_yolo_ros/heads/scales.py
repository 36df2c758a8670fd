"""Whether the stored numbers of a model's outputs can become real ones."""

from __future__ import annotations

from rdk_yolo_ros.config_text import shown
from rdk_yolo_ros.errors import HeadError
from rdk_yolo_ros.head_layout import Head, HeadLayout


def check_scales(layout: HeadLayout, where: str = '') -> None:
    """
    Check that integers have scales, and that scales run along the channels.

    Args:
        layout: a model's outputs, understood.
        where: what a message begins with.

    Raises:
        HeadError: an output's numbers would decode to nonsense; names it.

    """
    heads = [head for level in layout.levels
             for head in (level.class_head, level.box_head, level.extra)]
    for part in (*heads, layout.prototypes, layout.table):
        if part is None:
            continue
        info = part.info
        if info.dtype.kind in 'iu' and info.scale is None:
            raise HeadError(
                f'{where}output {shown(info.name)} is {info.dtype} and has no scale, without '
                'which it would decode to nonsense; give its scale in the ONNX metadata '
                '`output_quantization`, or export it as float32')
        axis = info.quantize_axis
        if axis is None or all(v is None or len(v) == 1 for v in (info.scale, info.zero_point)):
            continue
        if isinstance(part, Head):
            expected = 3 if part.channels_last else 1
        elif part.form == 'classes':
            expected = info.shape.index(part.columns)
        else:
            expected = 2 if part.rows_first else 1
        if axis % len(info.shape) != expected:
            raise HeadError(
                f'{where}the scales of output {shown(info.name)} run along axis {axis} of shape '
                f'{info.shape}, expected its channels, axis {expected}; correct `axis`')
