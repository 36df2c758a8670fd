"""From results to TROS' ai_msgs: pure functions that fill in what dnn_node_example does."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
import importlib
from typing import Any, NamedTuple, Union

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point32
import numpy as np
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.errors import RuntimeUnavailableError

# mono2d_body_detection calls a person's box a body, and its followers look for that; they find
# key points by these names. Any other thing's box has its class's name.
_BOX_TYPES = {'person': 'body'}
_POINT_TYPES = {'hand': 'hand_kps', 'face': 'face_kps'}
_BODY_POINTS = 'body_kps'
# The one target that dnn_node_example gives a segmentation in, whatever it shows.
_SEGMENTATION = 'parking_space'
# A prototype covers so many pixels of the model's input, in both directions.
_PROTOTYPE_PIXELS = 4


class Work(NamedTuple):
    """
    What one frame took.

    Attributes:
        began: when work on it began, on the monotonic clock, in seconds.
        timings: seconds for each step: 'convert', 'slot wait', 'letterbox', 'infer', 'decode'.

    """

    began: float
    timings: Mapping[str, float]


def ai_msgs() -> Any:
    """
    Return the module ai_msgs.msg.

    Raises:
        RuntimeUnavailableError: it is not installed, or not sourced.

    """
    try:
        return importlib.import_module('ai_msgs.msg')
    except ImportError as error:
        raise RuntimeUnavailableError(
            f'results in ai_msgs need the ROS package ai_msgs, which cannot be imported here '
            f'({error}): source /opt/tros/humble/setup.bash, or install tros-humble-ai-msgs; '
            'the results are on ~/detections without it') from error


def perception_targets(result: Union[Detections, Classifications], hw: tuple[int, int],
                       names: Sequence[str], model_hw: tuple[int, int]) -> list[Any]:
    """
    Return one ai_msgs/Target for each instance, best first, or for each class of an image.

    Args:
        result: what was found, in source-image pixels.
        hw: the source image's height and width.
        names: the class names, by number; a class without one has its number.
        model_hw: the model input's height and width.

    Returns:
        the targets; of a segmentation one more, with the class of each part of the image.

    """
    msgs = ai_msgs()
    if isinstance(result, Classifications):
        return [_class_target(msgs, class_id, score, hw, names) for class_id, score in zip(
            result.class_ids.tolist(), result.scores.tolist())]
    targets = []
    pose = result.keypoints is not None
    rois = _rectangles(result, hw)
    track_ids = [0] * len(result) if result.track_ids is None else result.track_ids.tolist()
    for i, (rect, score, class_id, track_id) in enumerate(zip(
            rois, result.scores.tolist(), result.class_ids.tolist(), track_ids)):
        name = _name(class_id, names)
        target = msgs.Target(type=name, track_id=track_id, rois=[msgs.Roi(
            type=_BOX_TYPES.get(name, name) if pose else name, rect=rect, confidence=score)])
        if result.keypoints is not None:
            points = result.keypoints[i]
            target.points = [msgs.Point(
                type=_POINT_TYPES.get(name, _BODY_POINTS),
                point=[Point32(x=x, y=y) for x, y in points[:, :2].tolist()],
                confidence=_floats(points[:, 2]))]
        targets.append(target)
    if result.masks is not None:
        targets.append(_segmentation(msgs, result, hw, names, model_hw))
    return targets


def performance(work: Work, header: Header, model: str, now: Time, now_monotonic: float,
                ) -> list[Any]:
    """
    Return how long each step of one frame took, ai_msgs/Perf, named as dnn_node names them.

    Args:
        work: the steps' durations.
        header: the image's header.
        model: the model's name, with which every step's name begins.
        now: the node's time, and the end of the last step.
        now_monotonic: the same moment on the monotonic clock, in seconds.

    Returns:
        `_preprocess`: conversion, wait for a slot, letterbox. `_predict_infer`: infer.
        `_predict_parse`: decode. `_postprocess`: from the outputs to this message. `_pipeline`:
        from the image's stamp to this message, left out where the stamp is not of the node's
        clock.

    """
    msgs = ai_msgs()
    end = _nanoseconds(now)

    def moment(seconds: float) -> int:
        return end + round((seconds - now_monotonic) * 1e9)

    # What comes before the letterbox: the image's conversion, and the wait for memory.
    preprocess = work.began
    infer = preprocess + sum(work.timings.get(step, 0.0)
                             for step in ('convert', 'slot wait', 'letterbox'))
    parse = infer + work.timings.get('infer', 0.0)
    parsed = parse + work.timings.get('decode', 0.0)
    steps = [('preprocess', moment(preprocess), moment(infer)),
             ('predict_infer', moment(infer), moment(parse)),
             ('predict_parse', moment(parse), moment(parsed)),
             ('postprocess', moment(parse), end)]
    stamp = _nanoseconds(header.stamp)
    if stamp and 0 <= end - stamp < 3600 * 10**9:
        steps.append(('pipeline', stamp, end))
    return [msgs.Perf(type=f'{model}_{name}', stamp_start=_time(start), stamp_end=_time(stop),
                      time_ms_duration=(stop - start) * 1e-6) for name, start, stop in steps]


def _rectangles(detections: Detections, hw: tuple[int, int]) -> list[RegionOfInterest]:
    """Return the upright rectangles around N instances, in whole pixels inside the image."""
    boxes = detections.boxes.astype(np.float64)
    if detections.angles is not None:
        # The hull of the box turned about its centre.
        half = (boxes[:, 2:] - boxes[:, :2]) / 2
        centre = boxes[:, :2] + half
        cos, sin = (np.abs(f(detections.angles.astype(np.float64))) for f in (np.cos, np.sin))
        reach = np.stack([half[:, 0] * cos + half[:, 1] * sin,
                          half[:, 0] * sin + half[:, 1] * cos], axis=1)
        boxes = np.concatenate([centre - reach, centre + reach], axis=1)
    height, width = hw
    corners = np.rint(boxes).clip(0, [width, height, width, height]).astype(int).tolist()
    return [RegionOfInterest(x_offset=x1, y_offset=y1, width=x2 - x1, height=y2 - y1)
            for x1, y1, x2, y2 in corners]


def _class_target(msgs: Any, class_id: int, score: float, hw: tuple[int, int],
                  names: Sequence[str]) -> Any:
    # A class of the whole image has no box: upstream's is empty, in the middle.
    rect = RegionOfInterest(x_offset=hw[1] // 2, y_offset=hw[0] // 2)
    return msgs.Target(
        type=_name(class_id, names), rois=[msgs.Roi(rect=rect, confidence=score)],
        attributes=[msgs.Attribute(type='classification', value=float(class_id),
                                   confidence=score)])


def _segmentation(msgs: Any, detections: Detections, hw: tuple[int, int], names: Sequence[str],
                  model_hw: tuple[int, int]) -> Any:
    """Return the class number plus 1 of each cell of the image, 0 for none, row by row."""
    assert detections.masks is not None
    scale = min(model_hw[0] / hw[0], model_hw[1] / hw[1])
    height, width = (max(1, int(size * scale) // _PROTOTYPE_PIXELS) for size in hw)
    labels = detections.masks.to_label_image(height, width)
    classes = np.concatenate([[0], detections.class_ids + 1]).astype(np.float32)
    capture = msgs.Capture(features=_floats(classes[labels].reshape(-1)))
    capture.img.height, capture.img.width = height, width
    capture.img.step = max(1, model_hw[1] // max(1, int(hw[1] * scale)))
    return msgs.Target(
        type=_SEGMENTATION, captures=[capture], attributes=[msgs.Attribute(
            type='segmentation_label_count', value=float(len(names)))])


def _name(class_id: int, names: Sequence[str]) -> str:
    return names[class_id] if 0 <= class_id < len(names) else str(class_id)


def _floats(values: np.ndarray) -> array[float]:
    # rclpy takes an array.array as it is, but looks at each number of anything else in Python.
    floats = array('f')
    floats.frombytes(np.ascontiguousarray(values, np.float32).data.cast('B'))
    return floats


def _nanoseconds(stamp: Time) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


def _time(nanoseconds: int) -> Time:
    # Before the epoch, as a simulated clock may begin, there is no stamp.
    seconds, rest = divmod(max(0, nanoseconds), 10**9)
    return Time(sec=seconds, nanosec=rest)
