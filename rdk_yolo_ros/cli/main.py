"""rdk-yolo: choose the subcommand, and say what goes wrong in one line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import os
import sys
from typing import Optional

from rdk_yolo_ros.errors import RdkYoloError


def main(argv: Optional[Sequence[str]] = None) -> int:
    """
    Run a subcommand and return the exit code.

    0 is success; 1 a faulty file or model, with one line on stderr; 2 a faulty command line.
    """
    try:
        from rdk_yolo_ros.cli import bench, doctor, inspect
    except ModuleNotFoundError as error:
        print(f'rdk-yolo: the Python package {error.name} is missing; on a robot: rosdep install, '
              "elsewhere: pip install 'rdk_yolo_ros[pc]'", file=sys.stderr)
        return 1
    parser = argparse.ArgumentParser(
        prog='rdk-yolo', description='YOLO perception for RDK boards and PCs.')
    commands = parser.add_subparsers(dest='command', metavar='COMMAND', required=True)
    for command in (inspect, doctor, bench):
        command.add_command(commands)
    arguments = parser.parse_args(argv)
    try:
        code = arguments.run(arguments)
        sys.stdout.flush()
        return code
    except RdkYoloError as error:
        sys.stdout.flush()
        # Names from a model file may hold line breaks.
        print('rdk-yolo:', ' '.join(str(error).split()), file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader (head, less) has gone. Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
