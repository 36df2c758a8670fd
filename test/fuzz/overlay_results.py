"""Result messages of any content, drawn by the overlay on a small image."""

from __future__ import annotations

import array
import struct
from typing import Any

from hypothesis import strategies as st
from mutations import EDGES
import numpy as np
from sensor_msgs.msg import Image, PointCloud2, PointField
from target import Target
from vision_msgs.msg import (
    BoundingBox2D,
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    Point2D,
    Pose2D,
)

from rdk_yolo_ros.errors import FrameError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.nodes.overlay_picture import ENCODINGS, Picture
from rdk_yolo_ros.nodes.overlay_results import ClassNumbers, detections_from_messages

_HEIGHT, _WIDTH = 32, 48
_MOST = 4
_TEXT = st.text(st.characters(blacklist_categories=['Cs'], blacklist_characters='\0'), max_size=9)
# As text: NaN and infinity have no literals.
_NUMBER = st.one_of(st.floats(-10, 60), st.floats(-10, 60), st.floats()).map(repr)
_COUNT = st.one_of(st.integers(0, _MOST), st.sampled_from(EDGES).map(lambda n: n % 2**32))


def _seldom(strategy: Any, usual: Any) -> Any:
    return st.one_of(st.just(usual), st.just(usual), st.just(usual), strategy)


@st.composite
def _results(draw) -> dict[str, Any]:
    count = draw(st.integers(0, _MOST))
    points = draw(st.integers(0, 5))
    # What the YOLO node publishes, with fields changed.
    cloud = {'height': count, 'width': points, 'point_step': 16, 'row_step': 16 * points,
             'is_bigendian': False, 'size': 16 * points * count,
             'offsets': {'x': 0, 'y': 4, 'z': 8, 'score': 12}}
    mask = {'height': _HEIGHT, 'width': _WIDTH, 'encoding': 'mono8', 'step': _WIDTH,
            'size': _HEIGHT * _WIDTH}
    for fields in (cloud, mask):
        for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
            name = draw(st.sampled_from(sorted(set(fields) - {'offsets', 'encoding',
                                                              'is_bigendian'})))
            fields[name] = min(draw(_COUNT), 5000) if name == 'size' else draw(_COUNT)
    cloud['offsets'] = draw(_seldom(st.dictionaries(
        st.sampled_from(['x', 'y', 'z', 'score', 'rgb']), _COUNT), cloud['offsets']))
    cloud['is_bigendian'] = draw(_seldom(st.booleans(), False))
    mask['encoding'] = draw(_seldom(st.one_of(st.sampled_from(['mono16', '']), _TEXT), 'mono8'))
    return {
        'boxes': [(draw(_TEXT), [draw(_NUMBER) for _ in range(6)]) for _ in range(count)],
        'hypotheses': draw(_seldom(st.just(False), True)),
        'cloud': draw(st.sampled_from([None, cloud])), 'mask': draw(st.sampled_from([None, mask])),
        'bits': draw(st.binary(min_size=4, max_size=64)),
        'encoding': draw(st.sampled_from(ENCODINGS)),
        'classes': draw(st.lists(st.tuples(st.integers(0, 65535), _TEXT), max_size=3))}


def _data(size: int, bits: bytes) -> array.array:
    return array.array('B', (bits * (size // len(bits) + 1))[:size])


def _detection(class_id: str, numbers: list[str], known: bool) -> Detection2D:
    x, y, width, height, theta, score = map(float, numbers)
    return Detection2D(
        bbox=BoundingBox2D(center=Pose2D(position=Point2D(x=x, y=y), theta=theta),
                           size_x=width, size_y=height),
        results=[ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(
            class_id=class_id, score=score))] if known else [])


def _run(example: dict[str, Any]) -> None:
    cloud, mask = example['cloud'], example['mask']
    message = Detection2DArray(detections=[
        _detection(class_id, numbers, example['hypotheses'])
        for class_id, numbers in example['boxes']])
    if cloud is not None:
        cloud = dict(cloud)
        data, offsets = _data(cloud.pop('size'), example['bits']), cloud.pop('offsets')
        cloud = PointCloud2(data=data, **cloud, fields=[
            PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
            for name, offset in offsets.items()])
    if mask is not None:
        mask = dict(mask)
        mask = Image(data=_data(mask.pop('size'), example['bits']), **mask)
    classes = ClassNumbers()
    classes.learn(example['classes'])
    picture = Picture(Frame.from_bgr(np.full((_HEIGHT, _WIDTH, 3), 90, np.uint8)),
                      example['encoding'])
    with np.errstate(all='ignore'):
        picture.draw(*detections_from_messages(message, cloud, mask, classes))
    assert picture.image((0, 0), '').data.size == _HEIGHT * _WIDTH * (
        3 if example['encoding'] == 'bgr8' else 1.5)


def _cloud(**changes: int) -> dict[str, Any]:
    fields = {'height': 1, 'width': 1, 'point_step': 16, 'row_step': 16, 'is_bigendian': False,
              'size': 16, 'offsets': {'x': 0, 'y': 4, 'score': 12}, **changes}
    return {'boxes': [('a', ['5.0'] * 6)], 'hypotheses': True, 'cloud': fields, 'mask': None,
            'bits': struct.pack('<f', 1.0), 'encoding': 'bgr8', 'classes': []}


TARGET = Target(_results(), _run, (FrameError,), explicit=(
    _cloud(width=2**32 - 1, row_step=0), _cloud(width=2**30, row_step=0, point_step=0),
    _cloud(width=4), _cloud(point_step=2**32 - 1, width=2), _cloud(height=0)))
