"""The skeleton of a person: joint angles in, 17 COCO key points in three dimensions out."""

from dataclasses import dataclass

import numpy as np

Arm = tuple[float, float, float, float]
Leg = tuple[float, float, float]

# Lengths in body heights, about those of the classical eight-heads figure.
HIP_HALF, SHOULDER_HALF, TORSO, NECK, HEAD = 0.08, 0.125, 0.30, 0.125, 0.072
UPPER_ARM, FOREARM, THIGH, SHIN = 0.165, 0.15, 0.235, 0.225


@dataclass
class Pose:
    """Joint angles in degrees. Index 0 is the person's left side, 1 the right side."""

    yaw: float = 0.
    """0 looks at the camera, 90 to the image's right, 180 away."""
    roll: float = 0.
    """The whole body turned in the image plane."""
    lean: float = 0.
    """The torso bent forward."""
    head_yaw: float = 0.
    head_pitch: float = 0.
    arms: tuple[Arm, Arm] = ((8., 0., 8., 10.), (8., 0., 8., 10.))
    """Upper arm's abduction (0 down, 90 sideways, 180 up) and flexion (forward), forearm's."""
    legs: tuple[Leg, Leg] = ((4., 0., 0.), (4., 0., 0.))
    """Abduction, flexion forward, knee bend."""


def _direction(side: float, abduction: float, flexion: float) -> np.ndarray:
    a, f = np.deg2rad(abduction), np.deg2rad(flexion)
    return np.array((side * np.sin(a), np.cos(a) * np.cos(f), np.cos(a) * np.sin(f)))


def _about_y(points: np.ndarray, degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack((x * c + z * s, y, z * c - x * s), -1)


def _about_x(points: np.ndarray, degrees: float) -> np.ndarray:
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack((x, y * c - z * s, z * c + y * s), -1)


# Index of each extra point that the drawing needs after the 17 key points.
HEAD_CENTER, NECK_BASE, FACE, LEFT_TOE, RIGHT_TOE = range(17, 22)


def skeleton(pose: Pose) -> np.ndarray:
    """Float64 (22, 3): the key points and the points above.

    x to the image's right, y down, z towards the camera, in body heights, with the middle of the
    hips at the origin.
    """
    points = np.zeros((22, 3))
    head = np.array([(0., 0.12, 1.), (0.38, -0.18, 0.88), (-0.38, -0.18, 0.88),
                     (0.96, 0., 0.), (-0.96, 0., 0.), (0., 0., 1.)]) * HEAD
    head = _about_y(_about_x(head, -pose.head_pitch), pose.head_yaw)
    upper = np.zeros((13, 3))
    upper[:6] = head + (0., -TORSO - NECK, 0.)
    upper[6] = (0., -TORSO - NECK, 0.)
    upper[7] = (0., -TORSO - 0.02, 0.)
    lean = pose.lean
    upper[8:10] = (SHOULDER_HALF, -TORSO, 0.), (-SHOULDER_HALF, -TORSO, 0.)
    upper = _about_x(upper, lean)
    points[0:5], points[FACE] = upper[:5], upper[5]
    points[HEAD_CENTER], points[NECK_BASE] = upper[6], upper[7]
    points[5:7] = upper[8:10]
    for i, side in enumerate((1., -1.)):
        abduction, flexion, fore_abduction, fore_flexion = pose.arms[i]
        points[7 + i] = points[5 + i] + UPPER_ARM * _direction(side, abduction, flexion)
        points[9 + i] = points[7 + i] + FOREARM * _direction(side, fore_abduction, fore_flexion)
        abduction, flexion, knee = pose.legs[i]
        points[11 + i] = (side * HIP_HALF, 0., 0.)
        points[13 + i] = points[11 + i] + THIGH * _direction(side, abduction, flexion)
        points[15 + i] = points[13 + i] + SHIN * _direction(side, abduction * 0.5, flexion - knee)
        points[LEFT_TOE + i] = points[15 + i] + (side * 0.02, 0.025, 0.075)
    points = _about_y(points, pose.yaw)
    c, s = np.cos(np.deg2rad(pose.roll)), np.sin(np.deg2rad(pose.roll))
    x, y = points[:, 0].copy(), points[:, 1].copy()
    points[:, 0], points[:, 1] = x * c - y * s, x * s + y * c
    return points


def _random_arm(rng: np.random.Generator) -> Arm:
    kind = rng.random()
    u = rng.uniform
    if kind < 0.24:    # hanging
        return u(3, 25), u(-25, 25), u(-5, 25), u(0, 60)
    if kind < 0.36:    # forward, bent
        return u(0, 30), u(-10, 80), u(-40, 30), u(20, 120)
    if kind < 0.44:    # hand on the hip
        return u(35, 60), u(-20, 10), u(-65, -30), u(-10, 20)
    if kind < 0.54:    # stretched sideways
        a = u(65, 110)
        return a, u(-20, 20), a + u(-25, 25), u(-20, 20)
    if kind < 0.70:    # waving: elbow out, hand up
        return u(50, 120), u(-20, 30), u(130, 215), u(-20, 20)
    if kind < 0.90:    # raised
        a = u(115, 180)
        return a, u(-25, 25), a + u(-40, 60), u(-25, 25)
    a = u(0, 180)      # anything
    return a, u(-40, 60), a + u(-90, 120), u(-30, 90)


def _random_legs(rng: np.random.Generator) -> tuple[Leg, Leg]:
    kind = rng.random()
    u = rng.uniform
    if kind < 0.45:    # standing
        return (u(1, 10), u(-6, 6), u(0, 8)), (u(1, 10), u(-6, 6), u(0, 8))
    if kind < 0.60:    # apart
        return (u(12, 32), u(-8, 8), u(0, 10)), (u(12, 32), u(-8, 8), u(0, 10))
    if kind < 0.85:    # walking, running
        swing, bend = u(10, 45), u(5, 70)
        front, back = (u(0, 6), swing, u(0, 25)), (u(0, 6), -swing * u(0.4, 1), bend)
        return (front, back) if rng.random() < 0.5 else (back, front)
    if kind < 0.95:    # squatting, sitting
        flexion, knee, apart = u(45, 95), u(60, 120), u(3, 30)
        return ((apart, flexion, knee), (apart + u(-5, 5), flexion + u(-8, 8), knee + u(-8, 8)))
    return (u(0, 40), u(-30, 60), u(0, 80)), (u(0, 15), u(-15, 15), u(0, 20))


def random_pose(rng: np.random.Generator) -> Pose:
    """Return a pose out of everyday ones: more than a third of all arms are raised or waving."""
    facing = rng.random()
    if facing < 0.60:
        yaw = rng.normal(0, 28)
    elif facing < 0.78:
        yaw = 180 + rng.normal(0, 28)
    else:
        yaw = rng.uniform(-180, 180)
    left = _random_arm(rng)
    right = left if rng.random() < 0.25 else _random_arm(rng)
    roll = rng.normal(0, 5) if rng.random() < 0.85 else rng.normal(0, 20)
    lean = rng.uniform(-5, 10) if rng.random() < 0.8 else rng.uniform(0, 45)
    return Pose(yaw=yaw, roll=roll, lean=lean, head_yaw=rng.normal(0, 20),
                head_pitch=rng.normal(0, 10), arms=(left, right), legs=_random_legs(rng))
