"""The component containers; see docs/component_container.md."""

from __future__ import annotations

from collections.abc import Sequence
import sys
from typing import Optional

from rdk_yolo_ros.components.container import ComponentContainer
from rdk_yolo_ros.nodes.spin import run_node


def main(args: Optional[Sequence[str]] = None) -> int:
    """Run a container, one thread a component, until told to stop; return the exit code."""
    return run_node(ComponentContainer, 'component_container', args)


def main_mt(args: Optional[Sequence[str]] = None) -> int:
    """Run a container with several threads a component; return the exit code."""
    return run_node(lambda: ComponentContainer(multi_threaded=True), 'component_container_mt',
                    args)


if __name__ == '__main__':
    sys.exit(main())
