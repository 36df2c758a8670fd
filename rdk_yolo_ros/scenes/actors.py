"""Who moves in a scene video, and where each of them is at a time."""

from dataclasses import dataclass
from typing import Optional, Protocol

import numpy as np

from rdk_yolo_ros.scenes.layer import Layer
from rdk_yolo_ros.scenes.objects import draw_ball, draw_box, draw_cone
from rdk_yolo_ros.scenes.person import Look, draw_person
from rdk_yolo_ros.scenes.pose import Arm, Leg, Pose, skeleton
from rdk_yolo_ros.scenes.scene import BALL, BOX, CONE, PERSON


@dataclass
class Place:
    """Where an actor stands: ground point in pixels, its size, and how far it may wander."""

    x: float
    y: float
    size: float
    reach: float


Drawn = tuple[Layer, Optional[np.ndarray], Optional[np.ndarray], tuple[float, float, float, float]]
"""Layer, key points and which of them the body hides (persons only), shadow."""


class Actor(Protocol):
    """Something that a film shows."""

    def draw(self, t: float) -> Drawn:
        """Draw it at time t, in seconds."""


def _swing(t: float, period: float, phase: float) -> float:
    return float(np.sin(2 * np.pi * (t / period + phase)))


class Walker:
    """Walks to and fro and turns towards the camera at the ends."""

    def __init__(self, rng: np.random.Generator, place: Place) -> None:
        self._place, self._look = place, Look.random(rng)
        # A body height takes a walker about a second and a half.
        self._period = 2 * np.pi * place.reach / max(place.size * rng.uniform(0.45, 0.7), 1.)
        self._phase = rng.random()
        self._step = rng.uniform(0.9, 1.2)

    def _pose(self, t: float) -> tuple[Pose, float]:
        place = self._place
        x = place.x + place.reach * _swing(t, self._period, self._phase)
        speed = float(np.cos(2 * np.pi * (t / self._period + self._phase)))
        turn = float(np.tanh(3 * speed))
        stride = abs(turn)
        s = _swing(t, self._step, 0.)
        c = _swing(t, self._step, 0.25)

        def leg(sign: float) -> Leg:
            return 3., 26 * stride * sign * s, 4 + 30 * stride * max(0., sign * c)

        def arm(sign: float) -> Arm:
            return 8., -28 * stride * sign * s, 6., -22 * stride * sign * s + 22
        return Pose(yaw=72 * turn, lean=3 * stride, arms=(arm(1.), arm(-1.)),
                    legs=(leg(1.), leg(-1.))), x

    def draw(self, t: float) -> Drawn:
        """Draw the walker at time t, in seconds."""
        place = self._place
        pose, x = self._pose(t)
        points = skeleton(pose)
        foot = points[15:17, 1].max() + 0.03
        layer, keypoints, hidden = draw_person(points, self._look, x,
                                               place.y - foot * place.size, place.size)
        return layer, keypoints, hidden, (x, place.y, place.size * 0.2, 0.35)


class Waver(Walker):
    """Stands, shifts from foot to foot, and waves with one arm or with both."""

    def __init__(self, rng: np.random.Generator, place: Place) -> None:
        super().__init__(rng, place)
        self._beat, self._both = rng.uniform(0.9, 1.5), bool(rng.random() < 0.5)
        self._rest, self._yaw = rng.uniform(6., 9.), rng.uniform(-25, 25)

    def _pose(self, t: float) -> tuple[Pose, float]:
        # Arms go up and come down again once in `rest` seconds.
        up = float(np.clip(0.5 + 1.4 * _swing(t, self._rest, self._phase), 0, 1))
        up = up * up * (3 - 2 * up)
        wave = _swing(t, self._beat, 0.)

        def arm(share: float, sign: float) -> Arm:
            return (10 + 95 * share, 0., 12 + share * (158 + 24 * sign * wave), 12 * (1 - share))
        sway = _swing(t, 3.1, self._phase)
        pose = Pose(yaw=self._yaw + 8 * _swing(t, 5.3, 0.3), roll=1.5 * sway,
                    head_yaw=15 * _swing(t, 4.1, self._phase),
                    arms=(arm(up, 1.), arm(up if self._both else 0.05, -1.)),
                    legs=((5 + 2 * sway, 0., 0.), (5 - 2 * sway, 0., 0.)))
        return pose, self._place.x + 0.02 * self._place.size * sway


class Athlete(Walker):
    """Does jumping jacks: arms and legs apart and together."""

    def _pose(self, t: float) -> tuple[Pose, float]:
        out = 0.5 - 0.5 * _swing(t, 1.6, self._phase)
        arm: Arm = (14 + 135 * out, 0., 14 + 150 * out, 0.)
        leg: Leg = (3 + 20 * out, 0., 0.)
        return Pose(yaw=10 * _swing(t, 7., 0.), arms=(arm, arm), legs=(leg, leg)), self._place.x


class RollingBall:
    """Rolls to and fro and hops a little."""

    def __init__(self, rng: np.random.Generator, place: Place) -> None:
        self._place, self._seed = place, int(rng.integers(1 << 30))
        self._period, self._phase = rng.uniform(5, 9), rng.random()
        self._hop = rng.uniform(0, 1.2) * place.size

    def draw(self, t: float) -> Drawn:
        """Draw the ball at time t, in seconds."""
        place = self._place
        away = place.reach * _swing(t, self._period, self._phase)
        lift = self._hop * abs(_swing(t, 1.7, self._phase))
        spin = np.degrees(away / (place.size / 2))
        layer = draw_ball(np.random.default_rng(self._seed), place.x + away, place.y - lift,
                          place.size, float(spin))
        return layer, None, None, (place.x + away, place.y, place.size * 0.45, 0.35)


class Still:
    """A box or a cone that nobody moves: drawn once."""

    def __init__(self, rng: np.random.Generator, place: Place, class_id: int) -> None:
        draw = {BOX: draw_box, CONE: draw_cone}[class_id]
        self._layer = draw(rng, place.x, place.y, place.size)
        self._shadow = (place.x, place.y, place.size * 0.5, 0.35)

    def draw(self, t: float) -> Drawn:
        """Return the same at any time."""
        return self._layer, None, None, self._shadow


def cast(rng: np.random.Generator, height: int, width: int, horizon: float
         ) -> list[tuple[float, int, Actor]]:
    """Return actors with their ground row and class, farthest first."""
    short = min(height, width)
    actors: list[tuple[float, int, Actor]] = []

    def place(x: float, depth: float, size: float, reach: float) -> Place:
        # Perspective: what stands lower in the image is nearer and larger.
        y = horizon + (height * 0.97 - horizon) * depth
        return Place(x * width, y, short * size * (0.45 + 0.55 * depth), reach * width)

    people = (Walker, Waver, Athlete, Walker)
    count = int(rng.integers(3, 5))
    slots = (rng.permutation(count) + 0.5) / count
    for i in range(count):
        kind = people[i % len(people)]
        depth = float(np.clip((i + rng.uniform(0.2, 0.8)) / count, 0.1, 0.95))
        where = place(float(slots[i] + rng.uniform(-0.06, 0.06)), depth, rng.uniform(0.6, 0.75),
                      float(rng.uniform(0.2, 0.38)))
        actors.append((where.y, PERSON, kind(rng, where)))
    for class_id in (BALL, BOX, CONE, BALL, CONE, BOX)[:int(rng.integers(4, 7))]:
        depth = rng.uniform(0.05, 1.)
        where = place(rng.uniform(0.06, 0.94), depth, rng.uniform(0.14, 0.24), 0.12)
        if class_id == BALL:
            actors.append((where.y, class_id, RollingBall(rng, where)))
        else:
            actors.append((where.y, class_id, Still(rng, where, class_id)))
    return sorted(actors, key=lambda entry: entry[0])
