"""LibraryLog: what the package below the nodes logs, in the node's own log."""

from __future__ import annotations

import logging

from rclpy.node import Node

_LIBRARY = logging.getLogger('rdk_yolo_ros')


class LibraryLog(logging.Handler):
    """
    Forwards the library's log records, INFO and up, to a node's logger until it is closed.

    Python's logging has the library's level and its way to other handlers back when the last one
    is closed. Of several in a process the newest forwards: a line appears once.

    Args:
        node: the node.

    """

    def __init__(self, node: Node) -> None:
        """Begin to forward."""
        super().__init__(logging.INFO)
        self._node = node
        others = _installed()
        self._before: tuple[int, bool] = (
            others[-1]._before if others else (_LIBRARY.level, _LIBRARY.propagate))
        if _LIBRARY.level == logging.NOTSET:
            _LIBRARY.setLevel(logging.INFO)
        # A handler further up would write the line to stderr once more.
        _LIBRARY.propagate = False
        _LIBRARY.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as the node's own."""
        if _installed()[-1:] != [self] or not self._node.context.ok():
            return
        try:
            text, logger = self.format(record), self._node.get_logger()
            # One call for each severity: rclpy lets no line change its own.
            if record.levelno >= logging.CRITICAL:
                logger.fatal(text)
            elif record.levelno >= logging.ERROR:
                logger.error(text)
            elif record.levelno >= logging.WARNING:
                logger.warning(text)
            else:
                logger.info(text)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Stop forwarding; twice does no harm."""
        if self in _LIBRARY.handlers:
            _LIBRARY.removeHandler(self)
            if not _installed():
                level, _LIBRARY.propagate = self._before
                _LIBRARY.setLevel(level)
        super().close()


def _installed() -> list[LibraryLog]:
    return [handler for handler in _LIBRARY.handlers if isinstance(handler, LibraryLog)]
