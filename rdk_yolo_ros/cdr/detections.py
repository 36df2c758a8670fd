"""DetectionsWriter: a serialised vision_msgs/Detection2DArray, most of it from ready pieces."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import repeat
import struct
from typing import Optional

from rdk_yolo_ros.cdr.class_text import class_text
from rdk_yolo_ros.cdr.writer import ENCAPSULATION, CdrWriter, header_bytes
from rdk_yolo_ros.detections import Detections

# A detection is its header, the number of its results and the class's name; then, aligned to 8
# bytes, float64s: the score, the pose (position x y z, orientation x y z w, 36 of covariance) and
# the box (centre x y theta, size x y); then its id.
_POSE = struct.pack('<43d', *[0] * 6, 1, *[0] * 36)
_NUMBERS = struct.Struct('<d344s5d')
# Class numbers without a name are any; there is an end to what is kept of them.
_MOST_KEPT = 2048


class DetectionsWriter:
    """
    Serialises detections as rclpy does `nodes.messages.detections_message`'s messages.

    What detections have in common is bytes that are made once; what is left is to pack the scores
    and boxes, and to join it all. Not with numpy: once a frame, with the caches full of something
    else, it took a third longer for 50 detections and a tenth longer for 300.

    Args:
        names: the class names, by number; with None, and for a class without a name, `class_id`
            is the number.

    """

    def __init__(self, names: Optional[Sequence[str]] = None) -> None:
        # Fields are aligned by 4 and 8 bytes: a name stands at one of two remainders of 8.
        self._names = {0: _Names(names, 0), 4: _Names(names, 4)}

    def write(self, detections: Detections, stamp: tuple[int, int], frame_id: str) -> bytes:
        """
        Return the serialised Detection2DArray.

        Args:
            detections: N instances, in source-image pixels.
            stamp: the image's, seconds and nanoseconds.
            frame_id: the image's; the array and every detection carry both.

        """
        count = len(detections)
        header = header_bytes(stamp, frame_id)
        head = ENCAPSULATION + header + count.to_bytes(4, 'little')
        if not count:
            return head
        header += _ONE_RESULT
        class_ids = detections.class_ids.tolist()
        ends, last = _ends(detections, header)
        # The first name stands behind two headers and counts of one size, each later one behind
        # an id and a header, and the numbers before those end at a multiple of 8.
        names = [self._names[0][class_ids[0]]]
        names += [self._names[len(end) & 4][class_id]
                  for end, class_id in zip(ends, class_ids[1:])]
        parts = names * 3
        parts[0::3] = names
        parts[1::3] = _numbers(detections)
        parts[2::3] = [*ends, last]
        return b''.join((head, header, *parts))


class _Names(dict[int, bytes]):
    """What stands between header and score, by class number, at one remainder of 8."""

    def __init__(self, names: Optional[Sequence[str]], place: int) -> None:
        super().__init__()
        self._names = names
        self._place = place

    def __missing__(self, class_id: int) -> bytes:
        if len(self) >= _MOST_KEPT:
            self.clear()
        writer = CdrWriter()
        if self._place:
            writer.uint32(0)
        writer.string(class_text(class_id, self._names))
        writer.align(8)
        self[class_id] = name = writer.body()[self._place:]
        return name


def _ends(detections: Detections, header: bytes) -> tuple[list[bytes], bytes]:
    """Return each detection's id with the next one's header, and the last id."""
    if detections.track_ids is None:
        return [_NO_ID + header] * (len(detections) - 1), _NO_ID[:5]
    *track_ids, last = detections.track_ids.tolist()
    # Nothing fills up the last one, as nothing follows it.
    return [_id(track_id) + header for track_id in track_ids], _id(last)[:5 + len(str(last))]


# A track lives for many images.
@lru_cache(maxsize=_MOST_KEPT)
def _id(track_id: int) -> bytes:
    return _filled(str(track_id))


def _filled(text: str) -> bytes:
    """Return an ASCII string, filled up to a multiple of 4 bytes."""
    size = len(text) + 1
    return size.to_bytes(4, 'little') + text.encode() + bytes(1 + -size % 4)


def _numbers(detections: Detections) -> list[bytes]:
    """Return score, pose and box of each detection."""
    angles = repeat(0.0) if detections.angles is None else detections.angles.tolist()
    return [_NUMBERS.pack(score, _POSE, x1 + (x2 - x1) / 2, y1 + (y2 - y1) / 2, angle,
                          x2 - x1, y2 - y1)
            for (x1, y1, x2, y2), score, angle
            in zip(detections.boxes.tolist(), detections.scores.tolist(), angles)]


_NO_ID = _filled('')
_ONE_RESULT = (1).to_bytes(4, 'little')
