"""Component classes by package and plugin name: the entry points that packages install."""

from __future__ import annotations

from difflib import get_close_matches
import importlib
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
import re
import threading
import traceback
from typing import Any

from rdk_yolo_ros.errors import ComponentError

GROUP = 'rclpy_components'

# What these files add to a traceback says nothing about whose fault it is.
_NOBODYS = ('<frozen ', str(Path(importlib.__file__).parent), str(Path(__file__).parent))
# Modules that import each other can fail when two threads import them at once.
_importing = threading.Lock()


def find_component(package: str, plugin: str) -> Any:
    """
    Import what a package installs as a component.

    Args:
        package: the package's name, as in `ros2 component load CONTAINER PACKAGE PLUGIN`.
        plugin: the component's entry point, `package::Class`, or `Class` alone.

    Raises:
        ComponentError: there is no such package or plugin, or it cannot be imported.

    """
    entry = _find_entry_point(package, plugin)
    with _importing:
        try:
            return entry.load()
        except (Exception, SystemExit) as error:
            raise ComponentError(f"plugin '{entry.name}' of package '{package}' cannot be "
                                 f'imported from {entry.value}: {describe(error)}') from error


def describe(error: BaseException) -> str:
    """Return an exception's type and text, and the file and line that raised it, in one line."""
    text = ' '.join(str(error).split())
    if isinstance(error, SystemExit):
        text = f'sys.exit({text}) was called'
    else:
        text = f'{type(error).__name__}: {text}' if text else type(error).__name__
    places = [place for place in traceback.extract_tb(error.__traceback__)
              if not place.filename.startswith(_NOBODYS)]
    return f'{text} ({places[-1].filename}:{places[-1].lineno})' if places else text


def _find_entry_point(package: str, plugin: str) -> EntryPoint:
    installed = list(entry_points(group=GROUP))
    if not installed:
        raise ComponentError(
            f'no Python component is installed here, so neither is {plugin!r} of package '
            f"{package!r}: no package on Python's path has entry points of the group {GROUP}. "
            'Build with colcon and source install/setup.bash; a plain checkout has none')
    own = {entry.name: entry for entry in installed if _belongs(entry, package)}
    if not own:
        packages = sorted({_package(entry) for entry in installed})
        raise ComponentError(
            f'package {package!r} has no Python components: no entry point of the group {GROUP} '
            f'is its own; packages with some: {", ".join(packages)}. Is it built, and its '
            'install space sourced?')
    for name in (plugin, f'{package}::{plugin}'):
        if name in own:
            return own[name]
    # What follows the package's name, in which all of them are alike.
    names = {name.rpartition('::')[2]: name for name in own}
    close = [names[name] for name in get_close_matches(plugin.rpartition('::')[2], names)]
    raise ComponentError(
        f'package {package!r} has no plugin {plugin!r}; '
        + (f'is {" or ".join(map(repr, close))} meant? ' if close else '')
        + f'It has: {", ".join(sorted(own))}')


def _belongs(entry: EntryPoint, package: str) -> bool:
    return bool(package) and (entry.name.startswith(f'{package}::')
                              or _normalised(_package(entry)) == _normalised(package))


def _package(entry: EntryPoint) -> str:
    """Return the name of the distribution that installs an entry point."""
    distribution = getattr(entry, 'dist', None)
    return distribution.metadata['Name'] if distribution else entry.name.partition('::')[0]


def _normalised(name: str) -> str:
    # As PyPI compares names: setuptools turns the underscores of some into dashes.
    return re.sub(r'[-_.]+', '-', name).lower()
