"""DetectionsWriter: vision_msgs/Detection2DArray from arrays, a template for each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from rdk_yolo_ros.cdr.class_text import class_text
from rdk_yolo_ros.cdr.writer import ENCAPSULATION, CdrWriter
from rdk_yolo_ros.detections import Detections

# A detection is its header, the number of its results, the class's name; then, aligned to 8
# bytes, numbers of float64; then its id:
#   0       score
#   1...7   position x y z, orientation x y z w
#   8...43  covariance
#   44...48 bbox: centre x y theta, size x y
_NUMBERS = 49
_W, _BBOX = 7, 44
_BBOX_COLUMNS = np.arange(_BBOX, _NUMBERS)
# Class numbers without a name are any; there is an end to what is kept of them.
_MOST_KEPT = 4096


class DetectionsWriter:
    """
    Serialises detections as rclpy does `nodes.messages.detections_message`'s messages.

    All that a class's detections have in common is joined from bytes made once; numpy then fills
    in all scores and boxes at once.

    Args:
        names: the class names, by number; with None, and for a class without a name, `class_id`
            is the number.

    """

    def __init__(self, names: Optional[Sequence[str]] = None) -> None:
        self._names = names
        self._templates: dict[tuple[int, int], bytes] = {}

    def write(self, detections: Detections, stamp: tuple[int, int], frame_id: str) -> bytes:
        """
        Return the serialised Detection2DArray.

        Args:
            detections: N instances, in source-image pixels.
            stamp: the image's, seconds and nanoseconds.
            frame_id: the image's; the array and every detection carry both.

        """
        count = len(detections)
        writer = CdrWriter()
        writer.header(stamp, frame_id)
        writer.uint32(count)
        head = writer.body()
        if not count:
            return ENCAPSULATION + head
        writer = CdrWriter()
        writer.header(stamp, frame_id)
        writer.uint32(1)
        header = writer.body()
        ids = _ids(detections)
        id_sizes = np.fromiter(map(len, ids), np.intp, count)
        # The numbers end at a multiple of 8, so that an id alone says where the next header
        # begins.
        phases = np.empty(count, np.intp)
        phases[0] = len(head)
        phases[1:] = id_sizes[:-1]
        phases += len(header)
        templates = [self._template(class_id, phase) for class_id, phase in zip(
            detections.class_ids.tolist(), (phases % 8).tolist())]
        parts = [header] * (3 * count)
        parts[1::3] = templates
        parts[2::3] = ids
        message = bytearray().join([_AHEAD, head, *parts])
        ends = np.fromiter(map(len, templates), np.intp, count)
        ends[1:] += id_sizes[:-1]
        ends += len(header)
        ends[0] += len(_AHEAD) + len(head)
        _fill(message, np.cumsum(ends) // 8 - _NUMBERS, detections)
        return bytes(memoryview(message)[len(_AHEAD) - len(ENCAPSULATION):])

    def _template(self, class_id: int, phase: int) -> bytes:
        """Return what stands between header and id, of a place's remainder of 8 on."""
        template = self._templates.get((class_id, phase))
        if template is None:
            if len(self._templates) >= _MOST_KEPT:
                self._templates.clear()
            writer = CdrWriter()
            if phase:
                writer.uint32(0)
            writer.string(class_text(class_id, self._names))
            writer.align(8)
            template = writer.body()[phase:] + _NUMBERS_OF_NONE
            self._templates[class_id, phase] = template
        return template


def _ids(detections: Detections) -> list[bytes]:
    """Return the ids as strings that fill up to 4 bytes, but for the last, as nothing follows."""
    if detections.track_ids is None:
        return [_NO_ID] * (len(detections) - 1) + [_NO_ID[:5]]
    *texts, last = map(str, detections.track_ids.tolist())
    ids = [_id(text) for text in texts]
    ids.append(_id(last)[:4 + len(last) + 1])
    return ids


def _id(text: str) -> bytes:
    size = len(text) + 1
    return size.to_bytes(4, 'little') + text.encode() + bytes(-size % 4 + 1)


def _fill(message: bytearray, first: np.ndarray, detections: Detections) -> None:
    """Write scores and boxes; `first`: where each detection's numbers begin, in float64s."""
    numbers = np.frombuffer(message, '<f8', len(message) // 8)
    numbers[first] = detections.scores
    boxes = detections.boxes.astype(np.float64)
    values = np.zeros((len(boxes), 5))
    values[:, 3:] = boxes[:, 2:] - boxes[:, :2]
    values[:, :2] = boxes[:, :2] + values[:, 3:] / 2
    if detections.angles is not None:
        values[:, 2] = detections.angles
    numbers[first[:, None] + _BBOX_COLUMNS] = values


# Fields are aligned from behind the encapsulation: with this before them their float64s lie at
# multiples of 8.
_AHEAD = bytes(8 - len(ENCAPSULATION)) + ENCAPSULATION
_NUMBERS_OF_NONE = np.eye(1, _NUMBERS, _W, dtype='<f8').tobytes()
_NO_ID = _id('')
