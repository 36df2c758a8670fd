"""The golden frame: what a model finds in it, recorded on one machine, compared on another."""

from __future__ import annotations

from dataclasses import dataclass
import hashlib
import json
from pathlib import Path
from typing import Any, Optional, Union

import cv2
import numpy as np

from rdk_yolo_ros.detections import Classifications, Detections
from rdk_yolo_ros.errors import RdkYoloError
from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.predictor import Predictor
from rdk_yolo_ros.share import find_file

FRAME = 'config/golden/frame.png'
_FORMAT = 1
_LARGEST = 10_000_000
# Below it a key point is a guess, which another runtime may guess otherwise.
_SURE_POINT = 0.5


class GoldenError(RdkYoloError):
    """A recorded result or its frame is missing, or is none."""


@dataclass(frozen=True)
class Tolerance:
    """
    How far two results may be apart.

    Attributes:
        iou: the least overlap of two boxes of the same object, 0 to 1.
        score: the largest difference of its scores; what is this near the threshold may be
            missing.
        points: the largest mean distance of its key points, as a share of the box's diagonal.
        area: the largest difference of its mask's area, as a share of it.
        angle: the largest difference of its direction, radians.

    """

    iou: float
    score: float
    points: float
    area: float
    angle: float


SAME_NETWORK = Tolerance(0.9, 0.05, 0.02, 0.1, 0.05)
"""For one model file on two runtimes or machines."""
QUANTIZED = Tolerance(0.6, 0.2, 0.08, 0.3, 0.2)
"""For a network and its 8-bit version, which the vendor says keeps 90 to 97 % of the accuracy."""


def golden_frame(path: Optional[Path] = None) -> Frame:
    """
    Return the golden frame, NV12 in full range.

    Its planes are stored as a grey picture: every version of OpenCV reads the same bytes.

    Raises:
        GoldenError: the file is missing or is no such picture.

    """
    try:
        path = path or find_file(FRAME)
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    except FileNotFoundError as error:
        raise GoldenError(f'{FRAME}: {error}; install the package with its config/') from None
    if picture is None or picture.shape[0] % 3 or picture.shape[1] % 2:
        raise GoldenError(f'{path} is no picture of NV12 planes, height * 3 / 2 rows')
    return Frame.from_nv12(picture)


def record(predictor: Predictor, frame: Frame) -> dict[str, Any]:
    """Return what a model finds in the golden frame, as JSON can hold it."""
    found = predictor(frame)
    path = predictor.runtime.path
    threshold = predictor.options.score_threshold
    return {'format': _FORMAT, 'model': path.name, 'model_sha256': sha256(path),
            'runtime': predictor.runtime.name, 'frame_sha256': _frame_digest(frame),
            'task': predictor.task, 'score_threshold': threshold,
            'instances': instances(found, predictor.class_names)}


def instances(found: Union[Detections, Classifications],
              names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return detections as a list of mappings; coordinates are pixels of the frame."""
    listed: list[dict[str, Any]] = []
    for i, class_id in enumerate(found.class_ids):
        one: dict[str, Any] = {
            'class': names[class_id] if class_id < len(names) else str(class_id),
            'class_id': int(class_id),
            'score': round(float(found.scores[i]), 4)}
        if isinstance(found, Detections):
            one['box'] = np.round(found.boxes[i].astype(float), 2).tolist()
            if found.angles is not None:
                one['angle'] = round(float(found.angles[i]), 4)
            if found.keypoints is not None:
                one['keypoints'] = np.round(found.keypoints[i].astype(float), 2).tolist()
            if found.masks is not None:
                one['mask_area'] = int(np.count_nonzero(found.masks.full(i)))
        listed.append(one)
    return listed


def load(path: Path) -> dict[str, Any]:
    """
    Return a recorded result.

    Raises:
        GoldenError: the file is missing, or is none.

    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError('the file is too large')
        recorded = json.loads(path.read_text(encoding='utf-8'))
        complete = recorded['format'] == _FORMAT and {
            'model', 'model_sha256', 'task', 'score_threshold', 'frame_sha256'} <= set(recorded)
        for one in recorded['instances']:
            complete = complete and isinstance(one['class'], str) and 0 <= one['score'] <= 1 \
                and isinstance(one['class_id'], int)
            if 'box' in one:
                np.asarray(one['box'], float).reshape(4)
            if 'keypoints' in one:
                np.asarray(one['keypoints'], float).reshape(-1, 3)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = getattr(error, 'strerror', None) or f'{type(error).__name__}: {error}'
        raise GoldenError(f'{path} is no recorded result ({reason}); make one on a PC with '
                          '`rdk-yolo doctor MODEL.onnx --record FILE`') from None
    if not complete:
        raise GoldenError(f'{path} is no recorded result of format {_FORMAT}; make one on a PC '
                          'with `rdk-yolo doctor MODEL.onnx --record FILE`')
    return recorded


def shipped_for(model: Path) -> Optional[Path]:
    """Return the recorded result that comes with the package for a demo model, or None."""
    stem = model.stem.removesuffix('_int32')
    if not stem.startswith('demo_'):
        return None
    try:
        return find_file(f'config/golden/{stem}.json')
    except FileNotFoundError:
        return None


def differences(expected: dict[str, Any], task: str, found: list[dict[str, Any]],
                tolerance: Tolerance) -> list[str]:
    """
    Return in words how a result differs from a recorded one; nothing: it does not.

    Args:
        expected: what `record` made.
        task: the task of the model that was run.
        found: what `instances` made of its result.
        tolerance: what is no difference.

    """
    if task != expected['task']:
        return [f'the model\'s task is {task}, the recorded one\'s {expected["task"]}']
    if task == 'classify':
        return _class_differences(expected['instances'], found, tolerance)
    limit = expected['score_threshold'] + tolerance.score
    wanted, left, words = list(expected['instances']), list(found), []
    for one in wanted:
        # By number: a compiled model does not know the names.
        match = max((other for other in left if other['class_id'] == one['class_id']),
                    key=lambda other: _iou(one['box'], other['box']), default=None)
        if match is None or _iou(one['box'], match['box']) < tolerance.iou:
            if one['score'] >= limit:
                words.append(f'{_name(one)} is missing' + (
                    '' if match is None or not _iou(one['box'], match['box']) else
                    f'; the nearest overlaps {_iou(one["box"], match["box"]):.2f}'))
            continue
        left.remove(match)
        words += [f'{_name(one)}: {text}' for text in _pair(one, match, tolerance)]
    words += [f'{_name(other)} was not expected' for other in left if other['score'] >= limit]
    return words


def _class_differences(wanted: list[dict[str, Any]], found: list[dict[str, Any]],
                       tolerance: Tolerance) -> list[str]:
    if not wanted or not found:
        return [] if not wanted and not found else ['one of the two has no classes']
    first, now = wanted[0], found[0]
    if first['class_id'] != now['class_id']:
        return [f'the best class is {now["class"]} ({now["score"]:.2f}), expected '
                f'{first["class"]} ({first["score"]:.2f})']
    return _score(first, now, tolerance)


def _pair(one: dict[str, Any], other: dict[str, Any], tolerance: Tolerance) -> list[str]:
    words = _score(one, other, tolerance)
    if one.get('keypoints') and other.get('keypoints'):
        words += _points(one, other, tolerance)
    if one.get('mask_area') and 'mask_area' in other:
        share = abs(other['mask_area'] - one['mask_area']) / one['mask_area']
        if share > tolerance.area:
            words.append(f'its mask has {other["mask_area"]} pixels, expected '
                         f'{one["mask_area"]}')
    if 'angle' in one and 'angle' in other:
        # A rectangle turned by half a turn is the same.
        apart = abs((one['angle'] - other['angle'] + np.pi / 2) % np.pi - np.pi / 2)
        if apart > tolerance.angle:
            words.append(f'its angle is {other["angle"]:.2f}, expected {one["angle"]:.2f}')
    return words


def _score(one: dict[str, Any], other: dict[str, Any], tolerance: Tolerance) -> list[str]:
    if abs(one['score'] - other['score']) <= tolerance.score:
        return []
    return [f'its score is {other["score"]:.2f}, expected {one["score"]:.2f}']


def _points(one: dict[str, Any], other: dict[str, Any], tolerance: Tolerance) -> list[str]:
    expected, found = np.asarray(one['keypoints']), np.asarray(other['keypoints'])
    if expected.shape != found.shape:
        return [f'it has {len(found)} key points, expected {len(expected)}']
    sure = expected[:, 2] >= _SURE_POINT
    if not sure.any():
        return []
    x1, y1, x2, y2 = one['box']
    diagonal = max(1.0, float(np.hypot(x2 - x1, y2 - y1)))
    apart = float(np.hypot(*(expected[sure, :2] - found[sure, :2]).T).mean())
    if apart / diagonal <= tolerance.points:
        return []
    return [f'its key points are {apart:.1f} pixels off on average']


def _iou(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    both = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / both if both > 0 else 0.0


def _name(one: dict[str, Any]) -> str:
    x, y = ((one['box'][i] + one['box'][i + 2]) / 2 for i in (0, 1))
    return f'{one["class"]} {one["score"]:.2f} at ({x:.0f}, {y:.0f})'


def sha256(path: Path) -> str:
    """Return a file's SHA-256."""
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _frame_digest(frame: Frame) -> str:
    return hashlib.sha256(frame.to_nv12().tobytes()).hexdigest()


def is_recorded_on(recorded: dict[str, Any], frame: Frame) -> bool:
    """Return whether a result was recorded on this very frame."""
    return recorded['frame_sha256'] == _frame_digest(frame)
