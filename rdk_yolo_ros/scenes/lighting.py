"""Light and camera: gain, colour cast, gamma, vignette, blur and sensor noise."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Optional

import cv2
import numpy as np

_NOISE_SIZE = 512


@lru_cache(maxsize=16)
def _noise(sigma: int) -> np.ndarray:
    """Two uint8 (512, 512, 3) pictures, what to add and what to subtract."""
    values = np.random.default_rng(7).normal(0, sigma, (_NOISE_SIZE, _NOISE_SIZE, 3))
    return np.stack((values.clip(0, 255), (-values).clip(0, 255))).round().astype(np.uint8)


@dataclass
class Lighting:
    """How a scene is lit and taken, the same for every frame of a video."""

    gain: Optional[np.ndarray]
    """uint8 (h, w, 3) with 128 for one, or None."""
    table: np.ndarray
    """uint8 (1, 256, 3): gamma, contrast and colour cast."""
    blur: float
    motion: float
    motion_angle: float
    noise: int

    @staticmethod
    def random(rng: np.random.Generator, height: int, width: int, calm: bool = False
               ) -> 'Lighting':
        """Any light; `calm` keeps to daylight and a still camera."""
        spread = 0.35 if calm else 1.
        gain = None
        if rng.random() < 0.7:
            small = rng.uniform(1 - 0.45 * spread, 1 + 0.4 * spread, (3, 3, 1))
            tint = rng.normal(1, 0.04 * spread, (1, 1, 3))
            small = (small * tint * 128).clip(30, 250).astype(np.float32)
            gain = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
            gain = gain.astype(np.uint8)
        cast = rng.normal(1, 0.06 * spread, 3)
        gamma = np.exp(rng.normal(0, 0.22 * spread))
        contrast = 1 + rng.uniform(-0.3, 0.25) * spread
        bright = rng.uniform(-25, 25) * spread
        ramp = np.arange(256)[:, None] / 255.
        table = ((ramp ** gamma - 0.5) * contrast + 0.5) * cast * 255 + bright
        table = table.clip(0, 255).round().astype(np.uint8).reshape(1, 256, 3)
        blur = rng.uniform(0.4, 1.3) if rng.random() < 0.35 and not calm else 0.
        motion = rng.uniform(2, 6) if rng.random() < 0.10 and not calm else 0.
        noise = int(rng.choice((0, 2, 4, 7, 11))) if not calm else int(rng.choice((0, 2, 4)))
        return Lighting(gain, table, blur, motion, rng.uniform(0, 180), noise)

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the picture as the camera gives it; `rng` places the noise."""
        if self.gain is not None:
            image = cv2.multiply(image, self.gain, scale=1 / 128)
        image = cv2.LUT(image, self.table)
        if self.blur:
            image = cv2.GaussianBlur(image, (0, 0), self.blur)
        if self.motion:
            length = int(self.motion) | 1
            kernel = np.zeros((length, length), np.float32)
            c, s = np.cos(np.deg2rad(self.motion_angle)), np.sin(np.deg2rad(self.motion_angle))
            half = length // 2
            cv2.line(kernel, (int(round(half - c * half)), int(round(half - s * half))),
                     (int(round(half + c * half)), int(round(half + s * half))), 1.)
            image = cv2.filter2D(image, -1, kernel / kernel.sum())
        if self.noise:
            image = self._add_noise(image, rng)
        return image

    def _add_noise(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = image.shape[:2]
        more, less = _noise(self.noise)
        image = np.ascontiguousarray(image)
        dy, dx = rng.integers(0, _NOISE_SIZE // 2, 2)
        for y in range(0, height, _NOISE_SIZE // 2):
            for x in range(0, width, _NOISE_SIZE // 2):
                part = image[y:y + _NOISE_SIZE // 2, x:x + _NOISE_SIZE // 2]
                h, w = part.shape[:2]
                lighter = cv2.add(part, more[dy:dy + h, dx:dx + w])
                image[y:y + h, x:x + w] = cv2.subtract(lighter, less[dy:dy + h, dx:dx + w])
        return image
