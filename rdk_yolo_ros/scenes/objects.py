"""Draws balls, boxes and traffic cones, and the poles and leaves that stand in front of things."""

import numpy as np

from rdk_yolo_ros.scenes.layer import Layer
from rdk_yolo_ros.scenes.person import random_color, scaled

_CONE_COLORS = ((20, 90, 245), (30, 60, 230), (20, 180, 240), (200, 110, 30), (60, 60, 60))


def draw_ball(rng: np.random.Generator, x: float, y: float, size: float, spin: float = 0.
              ) -> Layer:
    """Draw a ball of diameter `size` pixels that touches the ground at x, y."""
    radius = size / 2
    center = np.array((x, y - radius))
    layer = Layer(x - radius - 1, y - size - 1, x + radius + 1, y + 1)
    base, second = random_color(rng), random_color(rng)
    base = scaled(base, 1.0 if max(base) > 90 else 90 / max(max(base), 1.))
    kind = rng.integers(4)
    turn = rng.uniform(0, 360) + spin
    layer.circle(center, radius, scaled(base, 0.62))
    layer.circle(center, radius * 0.95, base)
    if kind == 1:
        for i in range(3):
            layer.ellipse(center, (radius * 0.95,) * 2, 0, second, turn + i * 120,
                          turn + i * 120 + 60)
    elif kind == 2:
        layer.ellipse(center, (radius * 0.94, radius * 0.3), turn, second)
    elif kind == 3:
        for i in range(5):
            a = np.deg2rad(turn + i * 72)
            layer.circle(center + np.array((np.cos(a), np.sin(a))) * radius * 0.62, radius * 0.2,
                         scaled(second, 0.6))
        layer.circle(center, radius * 0.24, scaled(second, 0.6))
    light = center + np.array((rng.uniform(-0.4, 0.4), -0.38)) * radius
    layer.circle(light, radius * 0.2, scaled(base, 1.45))
    layer.circle(light, radius * 0.1, (245, 245, 245))
    return layer


def draw_box(rng: np.random.Generator, x: float, y: float, size: float, turn: float = 0.) -> Layer:
    """Draw a cardboard-like box about `size` pixels wide that stands on the ground at x, y."""
    width, depth = size * rng.uniform(0.55, 0.85), size * rng.uniform(0.35, 0.7)
    height = size * rng.uniform(0.4, 1.0)
    yaw = np.deg2rad(rng.uniform(-50, 50) + turn)
    elevation = np.deg2rad(rng.uniform(12, 40))
    base = random_color(rng) if rng.random() < 0.5 else scaled((96, 150, 196),
                                                               rng.uniform(0.6, 1.2))
    tape = random_color(rng)
    taped = rng.random() < 0.6
    labelled = rng.random() < 0.4

    def place(u: float, v: float, w: float) -> np.ndarray:
        px, pz = u * width / 2, w * depth / 2
        side = px * np.cos(yaw) + pz * np.sin(yaw)
        near = -px * np.sin(yaw) + pz * np.cos(yaw)
        return np.array((x + side, y + near * np.sin(elevation) - v * height * np.cos(elevation)))

    corners = np.array([place(u, v, w) for u in (-1, 1) for v in (0, 1) for w in (-1, 1)])
    corners[:, 1] -= corners[:, 1].max() - y
    shift = y - max(place(u, 0, w)[1] for u in (-1, 1) for w in (-1, 1))
    low, high = corners.min(0), corners.max(0)
    layer = Layer(low[0] - 2, low[1] - 2, high[0] + 2, high[1] + 2)

    def face(quad, gain: float, tape_ends) -> None:
        quad = [np.asarray(p) + (0, shift) for p in quad]
        layer.polygon(quad, scaled(base, gain * 0.6))
        middle = sum(quad) / 4
        edge = max(0.02 * size, 1.) / max(size, 1.) * 2
        inner = [p + (middle - p) * edge for p in quad]
        layer.polygon(inner, scaled(base, gain))
        if tape_ends is not None and taped:
            layer.line(tape_ends[0] + (0, shift), tape_ends[1] + (0, shift), size * 0.06,
                       scaled(tape, gain))
        elif labelled:
            layer.polygon([middle + (p - middle) * 0.4 for p in quad],
                          scaled((235, 235, 235), gain))

    gains = (0.72, 0.95) if rng.random() < 0.5 else (0.95, 0.72)
    right_side = 1 if np.sin(yaw) < 0 else -1
    # Of the two upright faces that are seen, one looks along w, the other along u.
    face([place(right_side, 0, -1), place(right_side, 1, -1), place(right_side, 1, 1),
          place(right_side, 0, 1)], gains[0], None)
    face([place(-1, 0, 1), place(-1, 1, 1), place(1, 1, 1), place(1, 0, 1)], gains[1], None)
    face([place(-1, 1, -1), place(1, 1, -1), place(1, 1, 1), place(-1, 1, 1)], 1.15,
         (place(-0.96, 1, 0), place(0.96, 1, 0)))
    return layer


def draw_cone(rng: np.random.Generator, x: float, y: float, size: float, tilt: float = 0.
              ) -> Layer:
    """Draw a traffic cone `size` pixels high that stands on the ground at x, y."""
    half = size * rng.uniform(0.24, 0.34)
    flat = half * rng.uniform(0.22, 0.45)
    base = scaled(_CONE_COLORS[rng.choice(5, p=(.4, .2, .2, .15, .05))], rng.uniform(0.75, 1.1))
    stripe = (235, 235, 235) if rng.random() < 0.8 else (40, 220, 240)
    tilt = tilt + (rng.normal(0, 4) if rng.random() < 0.85 else rng.uniform(-90, 90))
    angle = np.deg2rad(tilt)
    foot = np.array((x, y - flat))
    right = np.array((np.cos(angle), np.sin(angle)))
    up = np.array((np.sin(angle), -np.cos(angle)))
    reach = size + half
    layer = Layer(x - reach, y - reach, x + reach, y + reach)

    def band(low: float, high: float, color) -> None:
        def radius(v: float) -> float:
            return half * 0.72 * (1 - v) + half * 0.1 * v
        height = size - flat
        a, b = foot + up * height * low, foot + up * height * high
        ra, rb = radius(low), radius(high)
        layer.polygon([a - right * ra, b - right * rb, b + right * rb, a + right * ra], color)
        layer.ellipse(a, (ra, ra * flat / half), tilt, color)

    layer.ellipse(foot, (half, flat), tilt, scaled(base, 0.6))
    layer.ellipse(foot + up * flat * 0.25, (half * 0.95, flat * 0.85), tilt, scaled(base, 0.85))
    count = int(rng.integers(1, 3))
    edges = (0., 0.3, 0.5, 1.) if count == 1 else (0., 0.22, 0.4, 0.56, 0.72, 1.)
    tip = foot + up * (size - flat)
    for i in range(len(edges) - 1):
        band(edges[i], edges[i + 1], stripe if i % 2 else base)
    layer.ellipse(tip, (half * 0.1, half * 0.05), tilt, scaled(base, 0.5))
    return layer


def draw_occluder(rng: np.random.Generator, height: int, width: int) -> Layer:
    """Draw a pole, a rail or a bush: something without a label that hides what is behind it."""
    short = min(height, width)
    color = random_color(rng)
    kind = rng.integers(3)
    if kind == 0:
        half, x = short * rng.uniform(0.008, 0.03), rng.uniform(0, width)
        top, low = rng.uniform(-0.2, 0.4) * height, rng.uniform(0.7, 1.2) * height
        layer = Layer(x - half - 2, max(top, -2), x + half + 2, min(low, height + 2))
        layer.polygon([(x - half, top), (x + half, top), (x + half, low), (x - half, low)], color)
        layer.polygon([(x - half * .4, top), (x, top), (x, low), (x - half * .4, low)],
                      scaled(color, 1.25))
    elif kind == 1:
        half, y = short * rng.uniform(0.006, 0.02), rng.uniform(0.3, 0.95) * height
        left, right = rng.uniform(-0.2, 0.5) * width, rng.uniform(0.5, 1.2) * width
        layer = Layer(max(left, -2), y - half - 2, min(right, width + 2), y + half + 2)
        layer.polygon([(left, y - half), (right, y - half), (right, y + half), (left, y + half)],
                      color)
    else:
        x, y = rng.uniform(0, width), rng.uniform(0.6, 1.05) * height
        reach = short * rng.uniform(0.05, 0.13)
        layer = Layer(x - reach * 1.5, y - reach * 1.5, x + reach * 1.5, y + reach * 1.5)
        for _ in range(int(rng.integers(12, 30))):
            spot = np.array((x, y)) + rng.normal(0, 0.45, 2) * reach
            layer.ellipse(spot, (reach * 0.3, reach * 0.1), rng.uniform(0, 180),
                          scaled((60, 140, 50), rng.uniform(0.4, 1.3)))
    return layer
