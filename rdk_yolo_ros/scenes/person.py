"""Draws a person, a body of capsules with clothes and a face, over a skeleton."""

import colorsys
from dataclasses import dataclass

import numpy as np

from rdk_yolo_ros.scenes import pose as sk
from rdk_yolo_ros.scenes.layer import Color, Layer

_SKIN = ((186, 214, 244), (150, 190, 232), (120, 162, 214), (92, 130, 184), (66, 96, 148),
         (46, 68, 106))
_HAIR = ((22, 22, 26), (34, 48, 74), (40, 80, 130), (80, 150, 200), (140, 140, 150), (40, 50, 150))


def random_color(rng: np.random.Generator) -> Color:
    """Return a BGR colour, 0..255, bright ones and dull ones alike."""
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 1) ** 0.7, rng.uniform(0.15, 1))
    return b * 255, g * 255, r * 255


def scaled(color: Color, gain: float) -> Color:
    """Return the colour multiplied by a gain and clipped to 255."""
    blue, green, red = color
    return min(blue * gain, 255.), min(green * gain, 255.), min(red * gain, 255.)


@dataclass
class Look:
    """What a person wears and looks like."""

    skin: Color
    hair: Color
    shirt: Color
    stripe: Color
    trousers: Color
    shoes: Color
    sleeve: float
    """How much of the arm is covered: 0 none, 1 to the elbow, 2 to the wrist."""
    leg: float
    """How much of the leg is covered: 1 to the knee, 2 to the ankle."""
    striped: bool
    long_hair: bool
    bulk: float
    outline: float

    @staticmethod
    def random(rng: np.random.Generator) -> 'Look':
        """Somebody out of a varied crowd."""
        jitter = rng.uniform(0.85, 1.12)
        return Look(
            skin=scaled(_SKIN[rng.integers(len(_SKIN))], jitter),
            hair=scaled(_HAIR[rng.integers(len(_HAIR))], rng.uniform(0.8, 1.3)),
            shirt=random_color(rng), stripe=random_color(rng), trousers=random_color(rng),
            shoes=random_color(rng), sleeve=float(rng.choice((0.3, 1., 2.), p=(.2, .4, .4))),
            leg=float(rng.choice((0.8, 2.), p=(.3, .7))), striped=bool(rng.random() < 0.25),
            long_hair=bool(rng.random() < 0.35), bulk=rng.uniform(0.85, 1.25),
            outline=rng.uniform(0.45, 0.75))


def _limb(layer: Layer, points, radii, look: Look, cloth: Color, covered: float,
          outline: float) -> None:
    """Draw an arm or a leg: two capsules, the cloth ends `covered` segments from its root."""
    colors = []
    for i in range(2):
        part = min(max(covered - i, 0.), 1.)
        colors.append((part, cloth, look.skin))
    edge = scaled(cloth if covered > 1 else look.skin, look.outline)
    for i in range(2):
        layer.capsule(points[i], points[i + 1], radii[i] + outline, radii[i + 1] + outline,
                      scaled(cloth, look.outline) if colors[i][0] > 0.5 else edge)
    for i in (1, 0):
        part, cover, skin = colors[i]
        a, b = np.asarray(points[i]), np.asarray(points[i + 1])
        if part < 1:
            layer.capsule(a, b, radii[i], radii[i + 1], skin)
        if part > 0:
            middle = a + (b - a) * part
            layer.capsule(a, middle, radii[i],
                          radii[i] + (radii[i + 1] - radii[i]) * part, cover)


def _head(layer: Layer, xy: np.ndarray, depth: np.ndarray, look: Look, size: float) -> None:
    radius = sk.HEAD * size
    center = xy[sk.HEAD_CENTER]
    up = center - xy[sk.NECK_BASE]
    up = up / max(np.hypot(*up), 1e-6)
    forward = xy[sk.FACE] - center
    facing = (depth[sk.FACE] - depth[sk.HEAD_CENTER]) / sk.HEAD
    angle = float(np.degrees(np.arctan2(up[0], -up[1])))
    dark = scaled(look.skin, look.outline)
    layer.capsule(xy[sk.NECK_BASE], center, radius * 0.5, radius * 0.5, scaled(look.skin, 0.85))
    if look.long_hair and facing > -0.2:
        layer.ellipse(center - up * radius * 0.25 - forward * 0.25, (radius * 1.12, radius * 1.4),
                      angle, look.hair)
    layer.ellipse(center, (radius * 0.97, radius * 1.17), angle, dark)
    layer.ellipse(center + up * radius * 0.18 - forward * 0.22, (radius * 0.98, radius * 1.05),
                  angle, look.hair)
    if facing > -0.75:
        width = radius * (0.5 + 0.4 * min(max(facing + 0.2, 0.), 1.))
        layer.ellipse(center + forward * 0.3 - up * radius * 0.12, (width, radius * 0.98), angle,
                      look.skin)
    for ear in (3, 4):
        if depth[ear] - depth[sk.HEAD_CENTER] > -0.35 * sk.HEAD:
            layer.circle(xy[ear], radius * 0.2, dark)
            layer.circle(xy[ear], radius * 0.14, scaled(look.skin, 0.95))
    if look.long_hair and facing <= -0.2:
        layer.ellipse(center - up * radius * 0.25, (radius * 1.1, radius * 1.45), angle, look.hair)
    for eye in (1, 2):
        if depth[eye] - depth[sk.HEAD_CENTER] > 0.25 * sk.HEAD:
            layer.circle(xy[eye], radius * 0.17, (235, 235, 235))
            layer.circle(xy[eye], radius * 0.11, (30, 25, 20))
    if depth[0] - depth[sk.HEAD_CENTER] > 0.1 * sk.HEAD:
        layer.circle(xy[0], radius * 0.14, scaled(look.skin, 0.72))
        mouth = xy[0] - up * radius * 0.42 - forward * 0.1
        layer.ellipse(mouth, (radius * 0.28 * max(facing, 0.3), radius * 0.09), angle,
                      (70, 60, 150))


def _torso(layer: Layer, xy: np.ndarray, look: Look, size: float, outline: float) -> None:
    r_top, r_low = 0.052 * size * look.bulk, 0.055 * size * look.bulk
    corners = [(xy[5], r_top), (xy[6], r_top), (xy[12], r_low), (xy[11], r_low)]
    inset = [(p + (xy[5:7].mean(0) - p) * 0.12 if i < 2 else p, r)
             for i, (p, r) in enumerate(corners)]

    def body(grow: float, color: Color) -> None:
        layer.polygon([p for p, _ in inset], color)
        for i in range(4):
            (a, ra), (b, rb) = inset[i], inset[(i + 1) % 4]
            layer.capsule(a, b, ra + grow, rb + grow, color)

    body(outline, scaled(look.shirt, look.outline))
    body(0., look.shirt)
    top, low = xy[5:7].mean(0), xy[11:13].mean(0)
    half = (xy[5] - xy[6]) * 0.5
    if look.striped:
        for share in (0.2, 0.45, 0.7):
            middle = top + (low - top) * share
            layer.line(middle - half * 0.8, middle + half * 0.8, size * 0.035, look.stripe)
    layer.capsule(xy[11], xy[12], r_low * 1.02, r_low * 1.02, look.trousers)


def draw_person(points: np.ndarray, look: Look, x: float, y: float, size: float
                ) -> tuple[Layer, np.ndarray, np.ndarray]:
    """Draw a skeleton of body height `size` pixels with its hips' middle at x, y.

    Returns the layer, the key points float64 (17, 2) in image pixels, and bool (17,), which of
    them the body itself hides.
    """
    xy = points[:, :2] * size + (x, y)
    depth = points[:, 2]
    margin = 0.11 * size + 2
    low, high = xy.min(0) - margin, xy.max(0) + margin
    layer = Layer(low[0], low[1], high[0], high[1])
    outline = max(0.008 * size, 0.6)
    arm_radii = np.array((0.040, 0.033, 0.026)) * size * look.bulk
    leg_radii = np.array((0.058, 0.044, 0.030)) * size * look.bulk

    def arm(i: int) -> None:
        hand = xy[9 + i] + (xy[9 + i] - xy[7 + i]) * 0.16
        layer.circle(hand, 0.031 * size + outline, scaled(look.skin, look.outline))
        _limb(layer, xy[[5 + i, 7 + i, 9 + i]], arm_radii, look, look.shirt, look.sleeve, outline)
        layer.circle(hand, 0.031 * size, look.skin)

    def leg(i: int) -> None:
        toe = xy[sk.LEFT_TOE + i]
        layer.capsule(xy[15 + i] + (0, 0.012 * size), toe, 0.034 * size, 0.026 * size, look.shoes)
        _limb(layer, xy[[11 + i, 13 + i, 15 + i]], leg_radii, look, look.trousers, look.leg,
              outline)

    chest = depth[5:7].mean()
    arms = sorted((0, 1), key=lambda i: depth[7 + i] + depth[9 + i] + depth[5 + i])
    behind = [i for i in arms if (depth[7 + i] + depth[9 + i]) / 2 < chest - 0.015]
    for i in behind:
        arm(i)
    for i in sorted((0, 1), key=lambda i: depth[13 + i] + depth[15 + i] + depth[11 + i]):
        leg(i)
    head_first = points[sk.FACE, 2] < points[sk.HEAD_CENTER, 2] and depth[sk.HEAD_CENTER] < chest
    if head_first:
        _head(layer, xy, depth, look, size)
    _torso(layer, xy, look, size, outline)
    if not head_first:
        _head(layer, xy, depth, look, size)
    for i in arms:
        if i not in behind:
            arm(i)

    hidden = np.zeros(17, bool)
    hidden[:5] = depth[:5] - depth[sk.HEAD_CENTER] < -0.3 * sk.HEAD
    for i in behind:
        hidden[[7 + i, 9 + i]] = [_inside_torso(xy, p) for p in (7 + i, 9 + i)]
    return layer, xy[:17], hidden


def _inside_torso(xy: np.ndarray, index: int) -> bool:
    """Whether a point lies inside the quadrilateral of shoulders and hips."""
    quad = xy[[5, 6, 12, 11]]
    edges = np.roll(quad, -1, 0) - quad
    to_point = xy[index] - quad
    cross = edges[:, 0] * to_point[:, 1] - edges[:, 1] * to_point[:, 0]
    return bool((cross > 0).all() or (cross < 0).all())
