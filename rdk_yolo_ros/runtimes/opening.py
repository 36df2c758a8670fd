"""Opening a model file with the runtime that fits it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
import logging
import os
from pathlib import Path
from typing import NamedTuple, Optional, Union

from rdk_yolo_ros.errors import ModelError, RuntimeUnavailableError
from rdk_yolo_ros.runtimes.base import Runtime, RuntimeOptions

_log = logging.getLogger(__name__)


class _Home(NamedTuple):
    """Where a runtime is: a module with `CLASS(path, nv12_range, options)` and `require()`."""

    module: str
    name: str
    suffixes: tuple[str, ...]
    why: str  # why `auto` prefers it to those after it


# In the order in which `auto` tries them.
_HOMES = {
    'onnx': _Home('onnx', 'OnnxRuntime', ('.onnx',), 'it runs .onnx files'),
    'libdnn': _Home('libdnn', 'LibdnnRuntime', ('.bin',),
                    "libdnn.so is here, which leaves Python free while the BPU works"),
    'hbm': _Home('hbm', 'HbmRuntime', ('.hbm', '.bin'), 'hbm_runtime is here'),
    'pyeasy_dnn': _Home('pyeasy_dnn', 'PyeasyDnnRuntime', ('.bin',), 'pyeasy_dnn is here'),
}
RUNTIMES = tuple(_HOMES)
"""The runtimes' names, in the order in which `auto` tries them."""


def missing(name: str) -> Optional[str]:
    """Return why a runtime cannot be used on this machine, in words; None where it can."""
    try:
        _module(name).require()
    except RuntimeUnavailableError as error:
        return str(error)
    return None


def open_runtime(path: Union[str, os.PathLike[str]], name: str = 'auto',
                 nv12_range: Optional[str] = None,
                 options: Optional[RuntimeOptions] = None) -> Runtime:
    """
    Open a model file.

    Args:
        path: the model.
        name: the runtime, or 'auto' to go by the file's suffix and by what is installed.
        nv12_range: 'full' or 'limited' to override what the model file says.
        options: how to run it.

    Raises:
        ModelError: the file is missing, is no model, or takes an input that cannot be fed.
        RuntimeUnavailableError: the runtime is not installed, or not known.
        ValueError: `nv12_range` is something else.

    """
    if nv12_range is not None:
        # Here, as it brings OpenCV: every worker process imports this module.
        from rdk_yolo_ros.colour import check_range
        check_range(nv12_range)
    path = Path(path)
    if name not in (*_HOMES, 'auto'):
        raise RuntimeUnavailableError(f'runtime {name!r} is not known, expected one of auto, '
                                      + ', '.join(_HOMES))
    # Looked at first: a missing .bin is a wrong path, not a missing runtime.
    check_model_file(path)
    if name == 'auto':
        name = _choose(path)
    if name != 'onnx' and path.suffix.lower() == '.onnx':
        raise ModelError(f'{path}: runtime {name} takes {" and ".join(_HOMES[name].suffixes)} '
                         'files, not .onnx; set `runtime` to onnx or auto')
    opener: Callable[..., Runtime] = getattr(_module(name), _HOMES[name].name)
    try:
        return opener(path, nv12_range, options=options or RuntimeOptions())
    except RuntimeUnavailableError as error:
        raise error if name == 'onnx' else _no_bpu(path, str(error)) from None


def _choose(path: Path) -> str:
    """Return the first runtime that takes the file's suffix and can be used here."""
    suffix = path.suffix.lower()
    fitting = [name for name, home in _HOMES.items() if suffix in home.suffixes]
    if not fitting:
        known = dict.fromkeys(s for home in _HOMES.values() for s in home.suffixes)
        raise ModelError(f'{path}: the suffix {path.suffix!r} tells no runtime, expected '
                         f'{", ".join(known)}; rename the file or set `runtime`')
    reasons: list[str] = []
    for name in fitting:
        # The only runtime for a suffix says itself what is missing.
        reason = missing(name) if len(fitting) > 1 else None
        if reason is None:
            if len(fitting) > 1:
                _log.info('%s: runtime %s, as %s%s', path, name, _HOMES[name].why,
                          f' ({"; ".join(reasons)})' if reasons else '')
            return name
        reasons.append(f'{name}: {reason}')
    raise _no_bpu(path, '; '.join(reasons))


def _no_bpu(path: Path, reasons: str) -> RuntimeUnavailableError:
    return RuntimeUnavailableError(
        f'{path} is to run on the BPU, which cannot be used here ({reasons}); on a PC, run the '
        "same network's .onnx file with `runtime: onnx`")


def _module(name: str):  # a module is not a type that its attributes could be checked by
    # Imported where it is used, so that nothing is loaded that is not needed.
    return import_module(f'rdk_yolo_ros.runtimes.{_HOMES[name].module}')


def check_model_file(path: Path) -> None:
    """Raise ModelError unless `path` is a regular file with something in it."""
    try:
        if path.is_dir():
            raise ModelError(f'{path} is a folder, expected a model file')
        if not path.is_file():
            raise ModelError(f'{path}: there is no such model file')
        if path.stat().st_size == 0:
            raise ModelError(f'{path}: the model file is empty; copy it again')
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise ModelError(f'{path}: the model file cannot be read: {reason}') from None
