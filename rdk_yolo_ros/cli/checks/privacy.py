"""Take out of a report what says whose machine it is: it is made to be pasted into an issue."""

from __future__ import annotations

import getpass
import os
import platform
import re
from typing import Any, Optional

# Names that an image comes with: they tell nothing, and are words of their own in a report.
_COMMON_NAMES = {'root', 'ubuntu', 'sunrise', 'hobot', 'localhost', 'user', 'rdk', 'robot', 'ros',
                 'pi', 'admin', 'debian', 'linux'}
_HOME = re.compile(r'(?<![\w.-])(?:/home/[^/\s:\'",;)]+|/root)(?=[/\s:\'",;)]|$)')
_MAC = re.compile(r'\b(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}\b')
# Private and link-local ranges (RFC 1918, RFC 3927), and whatever follows :// or @; a version
# such as OpenCV's 4.10.0.84 looks like an address, too.
_ADDRESS = re.compile(
    r'(?:(?<=://)|(?<=@))\d{1,3}(?:\.\d{1,3}){3}'
    r'|\b(?:192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01]))(?:\.\d{1,3}){2}\b'
    r'|\b10(?:\.\d{1,3}){3}\b')
_LOCAL_6 = re.compile(r'\bf(?:e80|[cd][0-9a-f]{2}):[0-9a-fA-F:]+')


class Redaction:
    """
    Replaces host and user names, home folders, IP and MAC addresses.

    Args:
        host, user, home: this machine's unless given; None or empty: there is none to look for.

    """

    def __init__(self, host: Optional[str] = None, user: Optional[str] = None,
                 home: Optional[str] = None) -> None:
        host = platform.node() if host is None else host
        user = _user() if user is None else user
        home = os.path.expanduser('~') if home is None else home
        # A home folder of / would turn every path into nonsense.
        self._home = home.rstrip('/') if home and home.startswith('/') else ''
        self._names = [(re.compile(rf'(?<![\w]){re.escape(name)}(?![\w])'), mark)
                       for name, mark in ((host, '<host>'), (host.partition('.')[0], '<host>'),
                                          (user, '<user>'))
                       if len(name) > 2 and name.lower() not in _COMMON_NAMES]

    def text(self, text: str) -> str:
        """Return a text without them."""
        if self._home:
            text = re.sub(rf'{re.escape(self._home)}(?=[/\s:\'",;)]|$)', '~', text)
        text = _HOME.sub('~', text)
        for pattern, mark in self._names:
            text = pattern.sub(mark, text)
        return _LOCAL_6.sub('<address>', _ADDRESS.sub('<address>', _MAC.sub('<address>', text)))

    def data(self, value: Any) -> Any:
        """Return what JSON can hold, its keys and texts without them."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        return value


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return ''
