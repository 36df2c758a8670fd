"""Boxes, key points, masks and labels: where they go, and in which colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Optional, Union

import cv2
import numpy as np

from rdk_yolo_ros.detections import Detections, InstanceMasks
from rdk_yolo_ros.drawing.canvas import (
    BgrCanvas,
    Canvas,
    Colour,
    Nv12Canvas,
    line_width,
)

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
_RIM = (60, 60, 60)

# By class number.
ClassNames = Union[Sequence[str], Mapping[int, str]]

_MASK_OPACITY = 0.45
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Characters. Names come in messages, too, where they may be anything, and letters are kept.
_LONGEST_NAME = 40

# Past these a sub-pixel coordinate overflows OpenCV's 16-bit drawing limits.
_COORDINATE_LIMIT = 30000


def draw(bgr: np.ndarray, detections: Detections, class_names: Optional[ClassNames] = None,
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
    draw_on_bgr(picture, detections, class_names, skeleton, keypoint_threshold)
    return picture


def draw_on_bgr(bgr: np.ndarray, detections: Detections,
                class_names: Optional[ClassNames] = None,
                skeleton: Optional[Sequence[tuple[int, int]]] = COCO_SKELETON,
                keypoint_threshold: float = 0.5) -> None:
    """Draw detections on a picture, uint8 (h, w, 3) BGR, in place; otherwise as `draw`."""
    _draw(BgrCanvas(bgr), line_width(bgr), detections, class_names, skeleton, keypoint_threshold)


def draw_on_nv12(y: np.ndarray, uv: np.ndarray, detections: Detections,
                 class_names: Optional[ClassNames] = None,
                 skeleton: Optional[Sequence[tuple[int, int]]] = COCO_SKELETON,
                 keypoint_threshold: float = 0.5, color_range: str = 'full') -> None:
    """
    Draw detections on the planes of an NV12 image, in place; otherwise as `draw`.

    y: uint8 (h, w), h and w even.
    uv: uint8 (h/2, w/2, 2).
    color_range: 'full' or 'limited'.
    """
    _draw(Nv12Canvas(y, uv, color_range), line_width(y), detections, class_names, skeleton,
          keypoint_threshold)


def _draw(canvas: Canvas, width: int, detections: Detections,
          class_names: Optional[ClassNames], skeleton: Optional[Sequence[tuple[int, int]]],
          keypoint_threshold: float) -> None:
    if not len(detections):
        return
    colours = [class_colour(class_id) for class_id in detections.class_ids.tolist()]
    if detections.masks is not None:
        _draw_masks(canvas, detections.masks, colours, width)
    if detections.keypoints is not None:
        limbs = _limbs(skeleton, detections.keypoints.shape[1])
        for points in detections.keypoints[::-1]:
            _draw_keypoints(canvas, points, limbs, keypoint_threshold, width)
    # Labels after all boxes, so that no line runs through a text.
    corners = [_corners(detections, i) for i in range(len(detections))]
    for i in range(len(detections) - 1, -1, -1):
        canvas.polygon(np.rint(corners[i]).astype(np.int32), colours[i], width)
    for i in range(len(detections) - 1, -1, -1):
        name = _label(int(detections.class_ids[i]), class_names)
        _draw_label(canvas, f'{name} {detections.scores[i]:.2f}', corners[i], colours[i], width)


@lru_cache(maxsize=4096)
def class_colour(class_id: int) -> tuple[int, int, int]:
    """Return the colour of a class, BGR: neighbours are far apart, and none is dull or dark."""
    # Steps of the golden angle never come back to the same hue (as in phyllotaxis).
    hue = (350 + int(class_id) * 137.508) % 360
    value = 255 - int(class_id) // 7 % 3 * 35
    pixel = np.array([[[hue / 2, 190, value]]], np.uint8)
    blue, green, red = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    return int(blue), int(green), int(red)


def _draw_masks(canvas: Canvas, masks: InstanceMasks, colours: list[Colour],
                width: int) -> None:
    """Tint each instance's pixels with its class colour, and trace its outline."""
    labels = masks.to_label_image(*canvas.hw)
    if not labels.any():
        return
    canvas.tint(labels, colours, _MASK_OPACITY)
    for i, colour in enumerate(colours):
        own = (labels == i + 1).astype(np.uint8)
        outlines, _ = cv2.findContours(own, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for outline in outlines:
            canvas.polygon(outline[:, 0], colour, max(1, width // 2))


def _draw_keypoints(canvas: Canvas, points: np.ndarray,
                    limbs: Mapping[Colour, np.ndarray], threshold: float, width: int) -> None:
    seen = (points[:, 2] >= threshold) & np.isfinite(points).all(axis=1)
    places = np.rint(np.clip(np.nan_to_num(points[:, :2]), -_COORDINATE_LIMIT,
                             _COORDINATE_LIMIT)).astype(np.int32)
    for colour, ends in limbs.items():
        whole = ends[seen[ends].all(axis=1)]
        if len(whole):
            canvas.lines(places[whole], colour, width)
    canvas.dots([(x, y) for x, y in places[seen].tolist()], width + 1, _POINT, _RIM)


def _limbs(skeleton: Optional[Sequence[tuple[int, int]]],
           count: int) -> dict[Colour, np.ndarray]:
    """Return the limbs that `count` key points can have, by colour: pairs of points (n, 2)."""
    limbs: dict[Colour, list[tuple[int, int]]] = {}
    if skeleton is None or (skeleton is COCO_SKELETON and count != _COCO_KEYPOINTS):
        return {}
    for start, end in skeleton:
        if max(start, end) < count:
            colour = _limb_colour(start, end, skeleton is COCO_SKELETON)
            limbs.setdefault(colour, []).append((start, end))
    return {colour: np.array(pairs) for colour, pairs in limbs.items()}


def _limb_colour(start: int, end: int, coco: bool) -> Colour:
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


def _label(class_id: int, class_names: Optional[ClassNames]) -> str:
    name = ''
    if isinstance(class_names, Mapping):
        name = class_names.get(class_id, '')
    elif class_names is not None and 0 <= class_id < len(class_names):
        name = class_names[class_id]
    if not name or not name.isascii() or not name.isprintable():
        return str(class_id)
    return name if len(name) <= _LONGEST_NAME else f'{name[:_LONGEST_NAME - 3]}...'


def _draw_label(canvas: Canvas, text: str, corners: np.ndarray, colour: Colour,
                width: int) -> None:
    """Write a text on a filled plate above the box, or inside it where there is no room."""
    height, picture_width = canvas.hw
    scale = max(0.4, min(height, picture_width) / 1100)
    coverage = _lettering(text, scale, max(1, width // 2), 1 + width)
    plate_height, plate_width = (size - 1 for size in coverage.shape)
    left = int(round(corners[:, 0].min())) - width // 2
    box_top = int(round(corners[:, 1].min()))
    top = box_top - plate_height if box_top >= plate_height else box_top
    left = max(0, min(left, picture_width - plate_width))
    top = max(0, min(top, height - plate_height))
    blue, green, red = colour
    ink = (0, 0, 0) if 0.114 * blue + 0.587 * green + 0.299 * red > 120 else (255, 255, 255)
    canvas.label(coverage, (left, top), colour, ink)


# Smooth letters take longer than all else that is drawn; the same texts come again and again.
@lru_cache(maxsize=512)
def _lettering(text: str, scale: float, thickness: int, margin: int) -> np.ndarray:
    """Return how far a text with a margin covers its plate, uint8 (h, w)."""
    (width, height), baseline = cv2.getTextSize(text, _FONT, scale, thickness)
    plate_height = height + baseline + margin
    coverage = np.zeros((plate_height + 1, width + 2 * margin + 1), np.uint8)
    cv2.putText(coverage, text, (margin, plate_height - baseline), _FONT, scale, 255, thickness,
                cv2.LINE_AA)
    coverage.flags.writeable = False
    return coverage
