"""The writers on results of any numbers and texts: what they write, rclpy reads as its own."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time
from hypothesis import strategies as st
import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from target import Target
from vision_msgs.msg import Classification, Detection2DArray, LabelInfo

from rdk_yolo_ros import cdr
from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.nodes import messages

# Without halves of surrogate pairs, which neither DDS nor a work configuration's file can hold.
_TEXT = st.text(st.characters(blacklist_categories=['Cs']), max_size=12)
_MOST = 5
_EXAMPLES = st.fixed_dictionaries({
    'count': st.integers(0, _MOST), 'points': st.integers(0, 3),
    # Any bits: NaN, infinities and denormals among them.
    'bits': st.binary(min_size=4, max_size=200),
    'class_ids': st.lists(st.integers(-2**31, 2**31 - 1) | st.integers(0, 3),
                          min_size=_MOST, max_size=_MOST),
    'track_ids': st.none() | st.lists(st.integers(-2**63, 2**63 - 1), min_size=_MOST,
                                      max_size=_MOST),
    'angles': st.booleans(), 'names': st.none() | st.lists(_TEXT, max_size=4),
    'frame_id': _TEXT, 'stamp': st.tuples(st.integers(-2**31, 2**31 - 1),
                                          st.integers(0, 2**32 - 1))})


def _run(example: dict[str, Any]) -> None:
    count, stamp, frame_id = example['count'], example['stamp'], example['frame_id']
    names = example['names']

    def floats(*shape: int) -> np.ndarray:
        bits = np.frombuffer(example['bits'][:len(example['bits']) // 4 * 4], '<u4')
        return np.resize(bits, shape).view('<f4')

    ids = np.array(example['class_ids'][:count], np.int32)
    tracks = example['track_ids']
    detections = Detections(
        floats(count, 4), floats(count), ids, keypoints=floats(count, example['points'], 3),
        angles=floats(count) if example['angles'] else None,
        track_ids=None if tracks is None else np.array(tracks[:count], np.int64))
    classes = Classifications(ids, floats(count))
    threshold = float(floats(1)[0])
    header = Header(stamp=Time(sec=stamp[0], nanosec=stamp[1]), frame_id=frame_id)
    with np.errstate(all='ignore'):
        _check_same(cdr.DetectionsWriter(names).write(detections, stamp, frame_id),
                    messages.detections_message(detections, header, names), Detection2DArray)
        _check_same(cdr.write_keypoints(detections, stamp, frame_id),
                    messages.keypoints_message(detections, header), PointCloud2)
        _check_same(cdr.write_classification(classes, stamp, frame_id, names),
                    messages.classification_message(classes, header, names), Classification)
        if np.isfinite(threshold):
            _check_same(cdr.write_label_info(names or (), threshold, stamp, frame_id),
                        messages.label_info_message(header, names or (), threshold), LabelInfo)


def _check_same(ours: bytes, message: Any, message_type: Any) -> None:
    theirs = serialize_message(message)
    assert len(ours) == len(theirs)
    # By way of rclpy's reader: between fields rclpy leaves what the memory held before.
    assert repr(deserialize_message(ours, message_type)) \
        == repr(deserialize_message(theirs, message_type))


TARGET = Target(_EXAMPLES, _run, (RdkYoloError,))
