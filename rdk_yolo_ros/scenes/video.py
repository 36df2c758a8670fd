"""An endless film: people walk, wave and jump about, balls roll, boxes and cones stand around."""

import cv2
import numpy as np

from rdk_yolo_ros.scenes.actors import cast
from rdk_yolo_ros.scenes.compose import Composer
from rdk_yolo_ros.scenes.lighting import Lighting
from rdk_yolo_ros.scenes.person import random_color, scaled
from rdk_yolo_ros.scenes.scene import Scene

_LEAST_VISIBLE = 0.25


def _room(rng: np.random.Generator, height: int, width: int, horizon: int) -> np.ndarray:
    """Paint a wall with pictures over a tiled floor."""
    wall = np.array(random_color(rng)) * 0.25 + 150
    floor = np.array(random_color(rng)) * 0.25 + 95
    image = np.empty((height, width, 3), np.uint8)
    shade = np.linspace(0.85, 1.1, max(horizon, 1))[:, None, None]
    image[:horizon] = (wall * shade).clip(0, 255)
    shade = np.linspace(0.8, 1.15, height - horizon)[:, None, None]
    image[horizon:] = (floor * shade).clip(0, 255)
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.uniform(0.05, 0.95) * width, rng.uniform(0.15, 0.55) * horizon
        w, h = rng.uniform(0.04, 0.12) * width, rng.uniform(0.15, 0.3) * horizon
        p1, p2 = (int(x - w), int(y - h)), (int(x + w), int(y + h))
        cv2.rectangle(image, p1, p2, random_color(rng), -1)
        cv2.rectangle(image, p1, p2, (60, 70, 80), max(width // 160, 1))
    line = tuple(float(v) for v in floor * 0.75)
    vanishing = (width / 2, horizon - 0.6 * height)
    for i in np.linspace(-1.5, 2.5, 21):
        x = i * width
        # Cut the lines at the wall: they meet behind it.
        share = (height - horizon) / (height - vanishing[1])
        top = (int(x + (vanishing[0] - x) * share), horizon)
        cv2.line(image, top, (int(x), height), line, 1, cv2.LINE_AA)
    for k in range(1, 9):
        y = int(horizon + (height - horizon) * (k / 9) ** 1.6)
        cv2.line(image, (0, y), (width, y), line, 1, cv2.LINE_AA)
    cv2.rectangle(image, (0, horizon - max(height // 60, 2)), (width, horizon),
                  scaled(tuple(wall), 0.6), -1)
    return image


class SceneVideo:
    """A film of synthetic scenes with the truth of every frame; 30 frames are a second.

    Frames can be asked for in any order: each depends on the seed, the size and its index alone.
    """

    FRAMES_PER_SECOND = 30.

    def __init__(self, seed: int = 0, width: int = 640, height: int = 480) -> None:
        rng = np.random.default_rng((seed, 1))
        self._seed, self.width, self.height = seed, width, height
        horizon = int(height * rng.uniform(0.42, 0.52))
        self._background = _room(rng, height, width, horizon)
        self._cast = cast(rng, height, width, horizon + 0.05 * height)
        self._lighting = Lighting.random(rng, height, width, calm=True)

    def frame(self, index: int) -> Scene:
        """Frame `index` (0 and up) of the film."""
        t = index / self.FRAMES_PER_SECOND
        composer = Composer(self._background.copy(), keep_visible=0., keep_inside=0.)
        for _, class_id, actor in self._cast:
            layer, keypoints, hidden, shadow = actor.draw(t)
            composer.add(layer, class_id, keypoints, hidden, shadow)
        noise = np.random.default_rng((self._seed, 2, index))
        image = self._lighting.apply(composer.image, noise)
        return Scene(image, composer.instances(_LEAST_VISIBLE))
