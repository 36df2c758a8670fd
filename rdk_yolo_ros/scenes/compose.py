"""Puts things over each other, keeps account of who is visible where, and renders whole scenes."""

from typing import Optional

import cv2
import numpy as np

from rdk_yolo_ros.scenes.background import render_background
from rdk_yolo_ros.scenes.layer import Layer
from rdk_yolo_ros.scenes.lighting import Lighting
from rdk_yolo_ros.scenes.objects import draw_ball, draw_box, draw_cone, draw_occluder
from rdk_yolo_ros.scenes.person import Look, draw_person
from rdk_yolo_ros.scenes.pose import random_pose, skeleton
from rdk_yolo_ros.scenes.scene import BALL, BOX, CONE, PERSON, Instance, Scene

_NOBODY, _OCCLUDER = 0, 255


class Composer:
    """Draws layers on an image, nearest last, and knows which pixel shows whom."""

    def __init__(self, image: np.ndarray, keep_visible: float, keep_inside: float) -> None:
        """Draw on `image` in place.

        A layer is refused when it would leave less than `keep_visible` of something that is
        already there, or has itself less than `keep_inside` of its pixels in the image.
        """
        self.image = image
        self.owner: np.ndarray = np.zeros(image.shape[:2], np.uint8)
        self._keep_visible, self._keep_inside = keep_visible, keep_inside
        self._entries: list[dict] = []

    def add(self, layer: Layer, class_id: Optional[int] = None,
            keypoints: Optional[np.ndarray] = None, hidden: Optional[np.ndarray] = None,
            shadow: Optional[tuple] = None) -> bool:
        """Put a layer on top; without a class it is an occluder. False if it was refused."""
        if len(self._entries) >= _OCCLUDER - 1:
            return False
        rows, columns, own_rows, own_columns = layer.clip(*self.owner.shape)
        solid = layer.pixels[..., 3] > 127
        total, own = int(np.count_nonzero(solid)), solid[own_rows, own_columns]
        inside = int(np.count_nonzero(own))
        if class_id is not None and (inside < 24 or inside < total * self._keep_inside):
            return False
        below = self.owner[rows, columns]
        lost = np.bincount(below[own], minlength=256)
        for number, entry in enumerate(self._entries, 1):
            if lost[number] and entry['visible'] - lost[number] < \
                    entry['total'] * self._keep_visible:
                return False
        for number, entry in enumerate(self._entries, 1):
            entry['visible'] -= int(lost[number])
        if shadow is not None:
            self._shadow(*shadow)
        layer.over(self.image)
        if class_id is None:
            below[own] = _OCCLUDER
            return True
        self._entries.append({'class_id': class_id, 'total': total, 'visible': inside,
                              'keypoints': keypoints, 'hidden': hidden,
                              'rows': rows, 'columns': columns})
        below[own] = len(self._entries)
        return True

    def _shadow(self, x: float, y: float, half: float, strength: float) -> None:
        height, width = self.owner.shape
        x1, x2 = max(int(x - half), 0), min(int(x + half) + 1, width)
        y1, y2 = max(int(y - half * 0.3), 0), min(int(y + half * 0.3) + 1, height)
        if x2 - x1 < 2 or y2 - y1 < 2:
            return
        shade = np.full((y2 - y1, x2 - x1, 3), 255, np.uint8)
        level = int(255 * (1 - strength))
        cv2.ellipse(shade, (int(x) - x1, int(y) - y1), (max(int(half), 1), max(int(half * .3), 1)),
                    0, 0, 360, (level,) * 3, -1, cv2.LINE_AA)
        part = self.image[y1:y2, x1:x2]
        self.image[y1:y2, x1:x2] = cv2.multiply(part, shade, scale=1 / 255)

    def instances(self, least_visible: float = 0.) -> list[Instance]:
        """Return what is visible now, farthest first."""
        found = []
        for number, entry in enumerate(self._entries, 1):
            if entry['visible'] < max(entry['total'] * least_visible, 16):
                continue
            rows, columns = entry['rows'], entry['columns']
            mask = self.owner[rows, columns] == number
            ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(ys) == 0:
                continue
            x1, y1 = int(columns.start + xs[0]), int(rows.start + ys[0])
            x2, y2 = int(columns.start + xs[-1]) + 1, int(rows.start + ys[-1]) + 1
            mask = mask[ys[0]:ys[-1] + 1, xs[0]:xs[-1] + 1].copy()
            found.append(Instance(entry['class_id'], np.array((x1, y1, x2, y2), np.float32), mask,
                                  (x1, y1), self._visibility(number, entry)))
        return found

    def _visibility(self, number: int, entry: dict) -> Optional[np.ndarray]:
        if entry['keypoints'] is None:
            return None
        height, width = self.owner.shape
        points = np.zeros((17, 3), np.float32)
        for i, (x, y) in enumerate(entry['keypoints']):
            if not (0 <= x < width and 0 <= y < height):
                continue
            seen = self.owner[int(y), int(x)] == number and not entry['hidden'][i]
            points[i] = x, y, 2. if seen else 1.
        return points


def _add_person(rng: np.random.Generator, composer: Composer, y: float, size: float) -> None:
    height, width = composer.owner.shape
    points = skeleton(random_pose(rng))
    low = points[:17, 1].max()
    x = rng.uniform(0.03, 0.97) * width
    layer, keypoints, hidden = draw_person(points, Look.random(rng), x, y - low * size, size)
    if rng.random() < 0.5:
        layer.shade(*rng.uniform(0.65, 1., 2))
    shadow = (x, y, size * 0.2, rng.uniform(0.2, 0.6)) if rng.random() < 0.5 else None
    composer.add(layer, PERSON, keypoints, hidden, shadow)


def _add_object(rng: np.random.Generator, composer: Composer, y: float, size: float) -> None:
    width = composer.owner.shape[1]
    class_id = int(rng.integers(BALL, CONE + 1))
    draw = {BALL: draw_ball, BOX: draw_box, CONE: draw_cone}[class_id]
    x = rng.uniform(0.02, 0.98) * width
    layer = draw(rng, x, y, size)
    if rng.random() < 0.5:
        layer.shade(*rng.uniform(0.65, 1., 2))
    shadow = (x, y, size * 0.5, rng.uniform(0.2, 0.6)) if rng.random() < 0.5 else None
    composer.add(layer, class_id, shadow=shadow)


def render_scene(seed: int, width: int = 640, height: int = 640) -> Scene:
    """Render one scene; the same seed and size give the same scene on one version of OpenCV.

    Everything scales with the shorter side: people are 0.2 to 1 of it tall, objects 0.045 to 0.4.
    No labelled thing shows less than 40 % of itself.
    """
    rng = np.random.default_rng(seed)
    short = min(width, height)
    composer = Composer(render_background(rng, height, width), 0.4, 0.6)
    people = int(rng.choice(7, p=(.06, .24, .24, .2, .14, .08, .04)))
    things = [('person', short * float(np.exp(rng.uniform(np.log(0.2), np.log(1.0)))))
              for _ in range(people)]
    things += [('object', short * float(np.exp(rng.uniform(np.log(0.045), np.log(0.4)))))
               for _ in range(int(rng.integers(0, 7)))]
    grounds = np.sort(rng.uniform(0.3, 1.06, len(things))) * height
    for index, ground in zip(rng.permutation(len(things)), grounds):
        kind, size = things[index]
        if kind == 'person':
            least = min(size * rng.uniform(0.75, 1.1), height)
            _add_person(rng, composer, max(float(ground), least), size)
        else:
            _add_object(rng, composer, float(ground), size)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 3))):
            composer.add(draw_occluder(rng, height, width))
    image = Lighting.random(rng, height, width).apply(composer.image, rng)
    return Scene(image, composer.instances())
