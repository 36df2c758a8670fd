"""ServedModel: a predictor and the topics of its results, for as long as a frame needs them."""

from __future__ import annotations

import threading
from typing import Optional

from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.nodes.results import ResultPublishers
from rdk_yolo_ros.predictor import Prediction, Predictor

# How long the model may take to close.
_CLOSING_S = 1.0


class ServedModel:
    """
    What an image is processed with: a predictor, and the publishers of its results.

    Attributes:
        predictor: what predicts.
        results: publishes what it found.
        slots: how many frames are predicted at once.
        timeout: seconds after which a prediction is given up, or None.

    Args:
        predictor, results, slots, timeout: the attributes.
        owned: whether `close` closes the predictor.

    """

    def __init__(self, predictor: Predictor, results: ResultPublishers, slots: int,
                 timeout: Optional[float], owned: bool) -> None:
        self.predictor = predictor
        self.results = results
        self.slots = slots
        self.timeout = timeout
        self._owned = owned
        self._lock = threading.Lock()
        self._users = 0
        self._closing: Optional[threading.Thread] = None

    @property
    def names(self) -> tuple[str, ...]:
        """The class names, by number."""
        return tuple(self.predictor.class_names or ())

    def predict(self, frame: Frame) -> Prediction:
        """Predict on one frame, with key points and masks if anybody listens to them."""
        with self._lock:
            self._users += 1
        try:
            return self.predictor.predict(frame, extras=self.results.needs_extras())
        finally:
            with self._lock:
                self._users -= 1

    def is_idle(self) -> bool:
        """Return whether no prediction is under way."""
        with self._lock:
            return not self._users

    def close(self, patience: float = _CLOSING_S) -> bool:
        """
        Close the predictor, also under predictions that hang; twice does no harm.

        Args:
            patience: seconds to wait for it; a driver that hangs may hang here, too.

        Returns:
            Whether it is closed.

        """
        if not self._owned:
            return True
        if self._closing is None:
            self._closing = threading.Thread(target=self.predictor.close,
                                             name='predictor-closing', daemon=True)
            self._closing.start()
        self._closing.join(patience)
        return not self._closing.is_alive()
