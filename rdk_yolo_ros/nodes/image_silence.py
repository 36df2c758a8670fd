"""ImageSilence: notices that no images come, and says once since when and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Optional

SILENCE_S = 5.0
# Images have to come at so many looks in a row before their end is news again: a camera that
# sends one now and then ends all the time.
_STEADY = 5


class ImageSilence:
    """
    Watches a topic on which there is no publisher, or whose publishers have stopped.

    Args:
        topic: the topic's full name.
        other_topics: returns the names and types of all topics of the graph that carry images.

    """

    def __init__(self, topic: str, other_topics: Callable[[], Sequence[str]]) -> None:
        self._topic = topic
        self._other_topics = other_topics
        self._begin: Optional[float] = None
        self._known: list[str] = []
        self._left_at: Optional[float] = None
        self._received = 0
        self._last_at: Optional[float] = None
        self._steady = 0
        self._told_absence = False
        self._told_silence = False

    def start(self) -> None:
        """Begin anew: what happened before the subscription says nothing."""
        self._begin = self._left_at = self._last_at = None

    def look(self, now: float, received: int, publishers: Sequence[str]) -> Optional[str]:
        """
        Return what is to be said now, or None; to be called about once a second.

        Args:
            now: a steady clock's time in seconds.
            received: how many images have arrived so far.
            publishers: the names of the nodes that publish the topic.

        """
        if self._begin is None:
            self._begin = now
            self._received = received
        if not publishers:
            return self._absence(now)
        self._known = sorted(set(publishers))
        self._left_at, self._told_absence = None, False
        return self._silence(now, received)

    def _absence(self, now: float) -> Optional[str]:
        self._last_at, self._steady = None, 0
        if self._left_at is None:
            self._left_at = now
        assert self._begin is not None
        if self._told_absence or now - self._left_at < SILENCE_S:
            return None
        self._told_absence = True
        what = (f'{" and ".join(self._known)} published it and is gone: start it again'
                if self._known else 'start the camera')
        others = [name for name in self._other_topics() if name.split()[0] != self._topic]
        if others:
            what += (', or set image_topic, or remap it, to one of the image topics that there '
                     f'are: {", ".join(others)}')
        return (f'nobody has published {self._topic} for {now - self._left_at:.0f} s: {what}')

    def _silence(self, now: float, received: int) -> Optional[str]:
        if received > self._received:
            back = None
            if self._told_silence and self._last_at is not None:
                back = f'images arrive on {self._topic} again'
            self._received, self._last_at = received, now
            self._steady += 1
            if self._steady >= _STEADY:
                self._told_silence = False
                return back
            return None
        self._steady = 0
        if self._last_at is None or self._told_silence or now - self._last_at < SILENCE_S:
            return None
        self._told_silence = True
        return (f'no image has arrived on {self._topic} for {now - self._last_at:.0f} s, although '
                f'{" and ".join(self._known)} still publishes it and images came before: look '
                'whether the camera hangs, or is paused')
