"""Detections and Classifications: the results that travel between stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Protocol, Union

import numpy as np

# Names of the tasks that the package knows, as Ultralytics calls them.
TASKS = ('detect', 'segment', 'pose', 'obb', 'classify')

Index = Union[slice, np.ndarray]

# Comparing a dtype with a type makes a dtype of it each time.
_FLOAT32, _INT32, _INT64 = np.dtype(np.float32), np.dtype(np.int32), np.dtype(np.int64)


class InstanceMasks(Protocol):
    """N instance masks, kept small until asked for (see `rdk_yolo_ros.decode.masks`)."""

    def __len__(self) -> int:
        """Return the number of instances."""

    def __getitem__(self, index: Index) -> InstanceMasks:
        """Return the masks of the instances that a slice or an array selects."""

    def full(self, i: int) -> np.ndarray:
        """Return instance i's mask over the source image, bool (h, w)."""

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        """
        Return one (height, width) picture of all instances: 0 background, i + 1 instance i.

        uint8, or uint16 past 255 instances. Where masks overlap the better score wins.
        """


@dataclass(frozen=True, eq=False)
class Detections:
    """
    N detected instances, sorted by score, best first.

    Coordinates are source-image pixels, x to the right and y down; pixel (0, 0) covers
    [0, 1) x [0, 1).

    Attributes:
        boxes: float32 (N, 4), x1 y1 x2 y2 in pixels. With `angles`, the rectangle before it is
            turned about its centre.
        scores: float32 (N,), 0 to 1.
        class_ids: int32 (N,).
        keypoints: float32 (N, K, 3), x and y in pixels and confidence 0 to 1, or None where the
            task has none.
        masks: the N instance masks, or None where the task has none.
        angles: float32 (N,), radians, or None where the task has none.
        track_ids: int64 (N,), or None where nothing tracks.

    Raises:
        ValueError: an array's shape or dtype is not the one above.

    """

    boxes: np.ndarray
    scores: np.ndarray
    class_ids: np.ndarray
    keypoints: Optional[np.ndarray] = None
    masks: Optional[InstanceMasks] = field(default=None, repr=False)
    angles: Optional[np.ndarray] = None
    track_ids: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        """Check that the parallel arrays are parallel."""
        count = len(self.boxes)
        _check('boxes', self.boxes, _FLOAT32, (count, 4))
        _check('scores', self.scores, _FLOAT32, (count,))
        _check('class_ids', self.class_ids, _INT32, (count,))
        if self.keypoints is not None:
            points = self.keypoints.shape[1] if self.keypoints.ndim == 3 else 0
            _check('keypoints', self.keypoints, _FLOAT32, (count, points, 3))
        if self.angles is not None:
            _check('angles', self.angles, _FLOAT32, (count,))
        if self.track_ids is not None:
            _check('track_ids', self.track_ids, _INT64, (count,))
        if self.masks is not None and len(self.masks) != count:
            raise ValueError(f'masks: {len(self.masks)} instances where boxes has {count}')

    def __len__(self) -> int:
        """Return the number of instances."""
        return len(self.boxes)

    def __getitem__(self, index: Index) -> Detections:
        """Return the instances that a slice, a boolean mask or an integer array selects."""
        if not isinstance(index, slice):
            index = np.asarray(index)
            if index.ndim != 1:
                raise TypeError('Detections is indexed by a slice or a one-dimensional array, '
                                f'not by an array of {index.ndim} dimensions')

        def pick(array):
            return None if array is None else array[index]

        return Detections(self.boxes[index], self.scores[index], self.class_ids[index],
                          pick(self.keypoints), pick(self.masks), pick(self.angles),
                          pick(self.track_ids))

    @classmethod
    def unchecked(cls, boxes: np.ndarray, scores: np.ndarray, class_ids: np.ndarray,
                  keypoints: Optional[np.ndarray] = None, masks: Optional[InstanceMasks] = None,
                  angles: Optional[np.ndarray] = None) -> Detections:
        """
        Return detections of arrays that are right by construction; attributes as above.

        For decoders: where there are few instances, the constructor and its checks would take a
        twentieth of their time.
        """
        self = object.__new__(cls)
        vars(self).update(boxes=boxes, scores=scores, class_ids=class_ids, keypoints=keypoints,
                          masks=masks, angles=angles, track_ids=None)
        return self

    @classmethod
    def empty(cls, task: str = 'detect', num_keypoints: int = 0) -> Detections:
        """
        Return a result without instances, with the attributes that `task` has.

        Raises:
            ValueError: `task` is not one of TASKS with instances.

        """
        if task not in TASKS or task == 'classify':
            raise ValueError(f"task is {task!r}, expected 'detect', 'segment', 'pose' or 'obb'")
        return cls(
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
            class_ids=np.zeros(0, np.int32),
            keypoints=np.zeros((0, num_keypoints, 3), np.float32) if task == 'pose' else None,
            masks=_NoMasks() if task == 'segment' else None,
            angles=np.zeros(0, np.float32) if task == 'obb' else None)


@dataclass(frozen=True, eq=False)
class Classifications:
    """
    The k best classes of a whole image, best first.

    Attributes:
        class_ids: int32 (k,).
        scores: float32 (k,), 0 to 1.

    Raises:
        ValueError: an array's shape or dtype is not the one above.

    """

    class_ids: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        """Check that the parallel arrays are parallel."""
        count = len(self.class_ids)
        _check('class_ids', self.class_ids, _INT32, (count,))
        _check('scores', self.scores, _FLOAT32, (count,))

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.class_ids)


class _NoMasks:
    """The masks of an empty result."""

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: Index) -> _NoMasks:
        return self

    def full(self, i: int) -> np.ndarray:
        raise IndexError(f'mask {i} of 0')

    def to_label_image(self, height: int, width: int) -> np.ndarray:
        return np.zeros((height, width), np.uint8)


def _check(name: str, array: np.ndarray, dtype: np.dtype, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f'{name} is {array.dtype} {array.shape}, expected {dtype.name} {shape}')
