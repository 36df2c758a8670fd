"""ImageLossWatch: notices that large images get lost on their way, and says what to set."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
import os
from pathlib import Path
from typing import Optional

# Fast DDS' shared-memory transport has a segment of 512 KB unless a profile says otherwise;
# what does not fit goes out as UDP fragments, and one lost fragment loses the image.
# https://fast-dds.docs.eprosima.com/en/latest/fastdds/transport/shared_memory/shared_memory.html
DEFAULT_SEGMENT_BYTES = 512 * 1024

# How much has to be lost, and within how long, before it is worth a line in the log.
WINDOW_S = 5.0
_LEAST_LOST = 3
_LEAST_SHARE = 0.05

# The variable that names a profile: Fast DDS 2, which Jazzy and older have, and Fast DDS 3.
_VARIABLE_2 = 'FASTRTPS_DEFAULT_PROFILES_FILE'
_VARIABLE_3 = 'FASTDDS_DEFAULT_PROFILES_FILE'
_TRANSPORTS_VARIABLE = 'FASTDDS_BUILTIN_TRANSPORTS'
# Who has set one of these has chosen how Fast DDS transports images.
DDS_VARIABLES = (_VARIABLE_2, _VARIABLE_3, _TRANSPORTS_VARIABLE)
_WITH_FAST_DDS_2 = ('', 'humble', 'iron', 'jazzy')


# No camera loses more between two of the middleware's reports.
_MOST_LOST_AT_ONCE = 10_000


class ImageLossWatch:
    """
    Counts the images of one subscription that arrived and that were lost, and warns.

    Each kind of warning is given once: a publisher that is silent at first does not use up the
    warning of a loss later.

    Args:
        topic: the topic's name, for the warning.
        rmw: the ROS middleware's identifier, for example 'rmw_fastrtps_cpp'.
        profile: where this package's DDS profile is, or None where it cannot be found.
        environment: the process's environment variables.

    """

    def __init__(self, topic: str, rmw: str, profile: Optional[Path],
                 environment: Optional[Mapping[str, str]] = None) -> None:
        self._topic = topic
        self._rmw = rmw
        self._profile = profile
        self._environment = os.environ if environment is None else environment
        self._since: Optional[float] = None
        self._history: deque[tuple[float, int, int]] = deque()
        self._told: set[str] = set()
        self.received = 0
        self.lost = 0
        self.largest = 0
        self.counts_losses = True

    def on_image(self, size: int) -> None:
        """Count an image of `size` bytes that arrived."""
        self.received += 1
        self.largest = max(self.largest, size)

    def on_lost(self, count: int) -> None:
        """
        Count images that the middleware says were lost.

        A number that cannot be counts as one: Fast DDS' difference of two counters wraps around
        when images of different sizes are lost.
        """
        self.lost += count if 0 <= count <= _MOST_LOST_AT_ONCE else 1

    def warning(self, now: float, publishers: int) -> Optional[str]:
        """
        Return the warning that is due now, or None; to be called about once a second.

        Args:
            now: a steady clock's time in seconds.
            publishers: how many publishers the topic has.

        """
        self._history.append((now, self.received, self.lost))
        while now - self._history[0][0] > WINDOW_S:
            self._history.popleft()
        for kind, text in (('lost', self._loss(now)), ('silent', self._silence(now, publishers))):
            if text is not None and kind not in self._told:
                self._told.add(kind)
                return text
        return None

    def _loss(self, now: float) -> Optional[str]:
        begin, received, lost = self._history[0]
        received, lost = self.received - received, self.lost - lost
        share = lost / max(1, lost + received)
        if lost >= _LEAST_LOST and share >= _LEAST_SHARE \
                and self.largest > DEFAULT_SEGMENT_BYTES:
            return (f'{lost} of {lost + received} images of {self.largest / 1e6:.1f} MB on '
                    f'{self._topic} were lost in {now - begin:.0f} s{self._remedy()}')
        if not self.counts_losses and self.largest > DEFAULT_SEGMENT_BYTES \
                and self._has_no_profile():
            return (f'images of {self.largest / 1e6:.1f} MB on {self._topic} may get lost'
                    f'{self._remedy()}')
        return None

    def _silence(self, now: float, publishers: int) -> Optional[str]:
        if publishers == 0 or self.received:
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= WINDOW_S:
            return (f'no image has arrived on {self._topic} in {now - self._since:.0f} s, '
                    f'although it has {publishers} publisher(s): it may not be publishing'
                    f'{self._possible_remedy()}')
        return None

    def _has_no_profile(self) -> bool:
        return not any(self._environment.get(name) for name in DDS_VARIABLES)

    def _remedy(self) -> str:
        if not self._rmw.startswith('rmw_fastrtps'):
            return f' ({self._rmw} carries them: see its documentation for large messages)'
        if self._has_no_profile():
            return (f": they do not fit Fast DDS' shared-memory segment of "
                    f'{DEFAULT_SEGMENT_BYTES // 1024} KB; set {self._setting()} for the '
                    'publisher and for this node')
        return (f'; this node has a Fast DDS profile, so look at the publisher: it needs '
                f'{self._setting()}, too')

    def _possible_remedy(self) -> str:
        """Return what might help, while no image has told its size."""
        if not self._rmw.startswith('rmw_fastrtps'):
            return f', or its images may be too large for {self._rmw} as it is set up'
        who = 'the publisher and this node' if self._has_no_profile() else 'the publisher'
        return (f", or, if its images are larger than Fast DDS' shared-memory segment of "
                f'{DEFAULT_SEGMENT_BYTES // 1024} KB, they may all get lost; in that case '
                f'{self._setting()} for {who} may help')

    def _setting(self) -> str:
        variable, profile = _VARIABLE_2, self._profile
        if self._environment.get('ROS_DISTRO', '') not in _WITH_FAST_DDS_2:
            variable = _VARIABLE_3
            profile = profile and profile.parent / 'fast_dds_3' / profile.name
        return f'{variable}={profile or "(a profile with a large segment)"}'
