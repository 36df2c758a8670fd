"""Drawing: boxes, key points and masks on a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import cv2
import numpy as np

from rdk_yolo_ros.detections import Detections, InstanceMasks

# COCO's key points (COCO keypoints 2017): 0 nose, 1-2 eyes, 3-4 ears, 5-6 shoulders, 7-8 elbows,
# 9-10 wrists, 11-12 hips, 13-14 knees, 15-16 ankles; the odd ones are the person's left.
COCO_SKELETON = (
    (0, 1), (0, 2), (1, 2), (1, 3), (2, 4),
    (5, 6), (5, 11), (6, 12), (11, 12),
    (5, 7), (7, 9), (11, 13), (13, 15),
    (6, 8), (8, 10), (12, 14), (14, 16),
)
_COCO_KEYPOINTS = 17
_COCO_TRUNK = {5, 6, 11, 12}

# BGR. Left and right limbs differ at a glance; the trunk and the head are neither.
_LEFT, _RIGHT, _MIDDLE, _POINT = (80, 200, 0), (0, 140, 255), (235, 160, 40), (255, 255, 255)

_MASK_OPACITY = 0.45
_FONT = cv2.FONT_HERSHEY_SIMPLEX

# Past these a sub-pixel coordinate overflows OpenCV's 16-bit drawing limits.
_COORDINATE_LIMIT = 30000


def draw(bgr: np.ndarray, detections: Detections, class_names: Optional[Sequence[str]] = None,
         skeleton: Optional[Sequence[tuple[int, int]]] = COCO_SKELETON,
         keypoint_threshold: float = 0.5) -> np.ndarray:
    """
    Return a copy of a picture, uint8 (h, w, 3) BGR, with the detections drawn on it.

    Lines and letters grow with the picture, and a class has the same colour in every picture.

    detections: in pixels of this picture; the best is drawn last, on top.
    class_names: by class number. A class without a name, or with a name that OpenCV's font
        cannot write (it knows ASCII only), is called by its number.
    skeleton: pairs of key points to join. COCO_SKELETON is meant for COCO's 17 key points and
        is left out for any other number of them; None draws points only.
    keypoint_threshold: key points of a lower confidence are not drawn.
    """
    picture = bgr.copy()
    if not len(detections):
        return picture
    colours = [class_colour(class_id) for class_id in detections.class_ids]
    width = line_width(picture)
    if detections.masks is not None:
        _draw_masks(picture, detections.masks, colours, width)
    if detections.keypoints is not None:
        limbs = _limbs(skeleton, detections.keypoints.shape[1])
        for points in detections.keypoints[::-1]:
            _draw_keypoints(picture, points, limbs, keypoint_threshold, width)
    # Labels after all boxes, so that no line runs through a text.
    corners = [_corners(detections, i) for i in range(len(detections))]
    for i in range(len(detections) - 1, -1, -1):
        cv2.polylines(picture, [np.rint(corners[i]).astype(np.int32)], True, colours[i], width,
                      cv2.LINE_AA)
    for i in range(len(detections) - 1, -1, -1):
        name = _label(int(detections.class_ids[i]), class_names)
        _draw_label(picture, f'{name} {detections.scores[i]:.2f}', corners[i], colours[i], width)
    return picture


def class_colour(class_id: int) -> tuple[int, int, int]:
    """Return the colour of a class, BGR: neighbours are far apart, and none is dull or dark."""
    # Steps of the golden angle never come back to the same hue (as in phyllotaxis).
    hue = (350 + int(class_id) * 137.508) % 360
    value = 255 - int(class_id) // 7 % 3 * 35
    pixel = np.array([[[hue / 2, 190, value]]], np.uint8)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    return int(blue), int(green), int(red)


def line_width(picture: np.ndarray) -> int:
    """Return the width of a line that is well seen on a picture (h, w, 3), in pixels."""
    return max(1, round(min(picture.shape[:2]) / 300))


def _draw_masks(picture: np.ndarray, masks: InstanceMasks,
                colours: list[tuple[int, int, int]], width: int) -> None:
    """Tint each instance's pixels with its class colour, and trace its outline."""
    labels = masks.to_label_image(*picture.shape[:2])
    if not labels.any():
        return
    palette = np.array([(0, 0, 0), *colours], np.uint8)
    tinted = cv2.addWeighted(picture, 1 - _MASK_OPACITY, palette[labels], _MASK_OPACITY, 0)
    cv2.copyTo(tinted, (labels > 0).astype(np.uint8), picture)
    for i, colour in enumerate(colours):
        own = (labels == i + 1).astype(np.uint8)
        outlines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, outlines, -1, colour, max(1, width // 2), cv2.LINE_AA)


def _draw_keypoints(picture: np.ndarray, points: np.ndarray,
                    limbs: Sequence[tuple[int, int, tuple[int, int, int]]],
                    threshold: float, width: int) -> None:
    seen = (points[:, 2] >= threshold) & np.isfinite(points).all(axis=1)
    pixels = np.rint(np.clip(np.nan_to_num(points[:, :2]), -_COORDINATE_LIMIT,
                             _COORDINATE_LIMIT)).astype(int)
    places = [(int(x), int(y)) for x, y in pixels]
    for start, end, colour in limbs:
        if seen[start] and seen[end]:
            cv2.line(picture, places[start], places[end], colour, width, cv2.LINE_AA)
    for place, visible in zip(places, seen):
        if visible:
            cv2.circle(picture, place, width + 1, _POINT, -1, cv2.LINE_AA)
            cv2.circle(picture, place, width + 1, (60, 60, 60), 1, cv2.LINE_AA)


def _limbs(skeleton: Optional[Sequence[tuple[int, int]]],
           count: int) -> list[tuple[int, int, tuple[int, int, int]]]:
    """Return the limbs that `count` key points can have, each with its colour."""
    if skeleton is None or (skeleton is COCO_SKELETON and count != _COCO_KEYPOINTS):
        return []
    limbs = []
    for start, end in skeleton:
        if max(start, end) < count:
            limbs.append((start, end, _limb_colour(start, end, skeleton is COCO_SKELETON)))
    return limbs


def _limb_colour(start: int, end: int, coco: bool) -> tuple[int, int, int]:
    if not coco or 0 in (start, end) or {start, end} <= _COCO_TRUNK or start % 2 != end % 2:
        return _MIDDLE
    return _LEFT if start % 2 else _RIGHT


def _corners(detections: Detections, i: int) -> np.ndarray:
    """Return the corners of instance i's box, turned where it has an angle, float (4, 2)."""
    x1, y1, x2, y2 = (float(value) for value in detections.boxes[i])
    corners = np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])
    if detections.angles is not None:
        cosine, sine = np.cos(detections.angles[i]), np.sin(detections.angles[i])
        centre = corners.mean(axis=0)
        # y points down, so a positive angle turns clockwise as seen.
        corners = (corners - centre) @ np.array([(cosine, sine), (-sine, cosine)]) + centre
    return np.clip(np.nan_to_num(corners), -_COORDINATE_LIMIT, _COORDINATE_LIMIT)


def _label(class_id: int, class_names: Optional[Sequence[str]]) -> str:
    if class_names is None or not 0 <= class_id < len(class_names):
        return str(class_id)
    name = class_names[class_id]
    return name if name.isascii() and name.isprintable() else str(class_id)


def _draw_label(picture: np.ndarray, text: str, corners: np.ndarray,
                colour: tuple[int, int, int], width: int) -> None:
    """Write a text on a filled plate above the box, or inside it where there is no room."""
    height, picture_width = picture.shape[:2]
    scale = max(0.4, min(height, picture_width) / 1100)
    thickness = max(1, width // 2)
    (text_width, text_height), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
    margin = 1 + width
    plate_width, plate_height = text_width + 2 * margin, text_height + baseline + margin
    left = int(round(corners[:, 0].min())) - width // 2
    box_top = int(round(corners[:, 1].min()))
    top = box_top - plate_height if box_top >= plate_height else box_top
    left = max(0, min(left, picture_width - plate_width))
    top = max(0, min(top, height - plate_height))
    cv2.rectangle(picture, (left, top), (left + plate_width, top + plate_height), colour, -1)
    blue, green, red = colour
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 120 else (255, 255, 255)
    cv2.putText(picture, text, (left + margin, top + plate_height - baseline), _FONT, scale, ink,
                thickness, cv2.LINE_AA)
