"""Walls, floors and clutter: everything that a detector must not report."""

import cv2
import numpy as np

from rdk_yolo_ros.scenes.person import random_color, scaled


def _ramp(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    corners = np.array([[random_color(rng), random_color(rng)],
                        [random_color(rng), random_color(rng)]], np.float32)
    mix = rng.uniform(0.1, 0.8)
    corners = corners * mix + corners[0, 0] * (1 - mix)
    return cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _cloudy(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Multiply by smooth noise of a random grain."""
    height, width = image.shape[:2]
    grain = int(rng.integers(3, 40))
    strength = rng.uniform(5, 60)
    small = rng.normal(128, strength, (grain, grain)).clip(40, 220).astype(np.uint8)
    noise = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.multiply(image, cv2.cvtColor(noise, cv2.COLOR_GRAY2BGR), scale=1 / 128)


def _grid(rng: np.random.Generator, image: np.ndarray, top: int) -> None:
    """Bricks, planks or tiles below row `top`, in place."""
    height, width = image.shape[:2]
    short = min(height, width)
    step_x, step_y = (max(int(short * rng.uniform(0.05, 0.25)), 6) for _ in range(2))
    color = scaled(random_color(rng), rng.uniform(0.4, 1))
    thickness = int(rng.integers(1, 3))
    bricks = rng.random() < 0.5
    overlay = image.copy()
    for row, y in enumerate(range(top, height, step_y)):
        cv2.line(overlay, (0, y), (width, y), color, thickness)
        start = (step_x // 2 if bricks and row % 2 else 0)
        for x in range(start, width, step_x):
            cv2.line(overlay, (x, y), (x, y + step_y), color, thickness)
    share = rng.uniform(0.15, 0.7)
    cv2.addWeighted(overlay, share, image, 1 - share, 0, dst=image)


def _checks(rng: np.random.Generator, image: np.ndarray, top: int) -> None:
    height, width = image.shape[:2]
    if height - top < 4:
        return
    step = max(int(min(height, width) * rng.uniform(0.05, 0.2)), 4)
    rows, columns = np.arange(height - top) // step, np.arange(width) // step
    even = ((rows[:, None] + columns) % 2).astype(np.uint8)
    low, high = 128 * rng.uniform(0.6, 1.0), 128 * rng.uniform(1.0, 1.35)
    gain = cv2.cvtColor((low + even * (high - low)).astype(np.uint8), cv2.COLOR_GRAY2BGR)
    image[top:] = cv2.multiply(image[top:], gain, scale=1 / 128)


def _clutter(rng: np.random.Generator, image: np.ndarray, horizon: int) -> None:
    """Windows, pictures, lines, stones and blobs of colour."""
    height, width = image.shape[:2]
    short = min(height, width)
    for _ in range(int(rng.integers(0, 14))):
        kind = rng.integers(5)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        size = short * rng.uniform(0.02, 0.3)
        color = random_color(rng)
        if kind == 0:      # a flat panel with a frame
            y = rng.uniform(0, max(horizon, 1))
            w, h = size * rng.uniform(0.4, 1.6), size * rng.uniform(0.4, 1.6)
            p1, p2 = (int(x - w), int(y - h)), (int(x + w), int(y + h))
            cv2.rectangle(image, p1, p2, color, -1)
            cv2.rectangle(image, p1, p2, random_color(rng), max(int(size * 0.06), 1))
        elif kind == 1:    # a line
            end = (int(x + rng.normal(0, 1) * size * 3), int(y + rng.normal(0, 1) * size * 3))
            cv2.line(image, (int(x), int(y)), end, color, int(rng.integers(1, 6)), cv2.LINE_AA)
        elif kind == 2:    # an irregular polygon
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(5, 9))))
            radii = size * rng.uniform(0.2, 0.8, len(angles))
            points = np.stack((x + np.cos(angles) * radii, y + np.sin(angles) * radii * 0.6), 1)
            cv2.fillPoly(image, [points.astype(np.int32)], color, cv2.LINE_AA)
        elif kind == 3:    # a flat smear on the ground
            cv2.ellipse(image, (int(x), int(max(y, horizon))),
                        (max(int(size), 1), max(int(size * 0.22), 1)), 0, 0, 360,
                        scaled(color, 0.7), -1, cv2.LINE_AA)
        else:              # a bundle of upright bars
            w = max(size * 0.08, 1)
            for i in range(int(rng.integers(2, 6))):
                left = x + i * w * 2.5
                cv2.rectangle(image, (int(left), int(y - size)), (int(left + w), int(y + size)),
                              color, -1)


def render_background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Render a background without anything labelled, uint8 (height, width, 3) BGR."""
    image = _ramp(rng, height, width)
    horizon = int(height * rng.uniform(0.15, 0.75))
    if rng.random() < 0.75:
        image[horizon:] = _ramp(rng, height - horizon, width)
    if rng.random() < 0.7:
        image = _cloudy(rng, image)
    if rng.random() < 0.35:
        _grid(rng, image, 0 if rng.random() < 0.5 else horizon)
    if rng.random() < 0.3:
        _checks(rng, image, horizon)
    if rng.random() < 0.85:
        _clutter(rng, image, horizon)
    if rng.random() < 0.35:
        # A background out of focus, as cameras with a large aperture give it.
        sigma = rng.uniform(0.8, 0.01 * min(height, width) + 1)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    return image
