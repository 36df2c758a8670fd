"""
libdnn's C interface, as the vendor documents it for RDK X3 and X5, in ctypes.

Structures and prototypes: RDK documentation, "C/C++ DNN API", its pages on data structures,
models, memory and inference. The S boards' libdnn has other structures and functions.
"""

from __future__ import annotations

import ctypes as c
from ctypes.util import find_library
import os
from pathlib import Path
from typing import Optional

from rdk_yolo_ros.errors import RuntimeUnavailableError

LIBRARY_VARIABLE = 'RDK_YOLO_LIBDNN'
# Where RDK OS has had it; `find_library` sees only what ldconfig knows.
_PLACES = ('/usr/hobot/lib/libdnn.so', '/usr/lib/hobot/libdnn.so', '/usr/lib/hbbpu/libdnn.so',
           '/usr/lib/libdnn.so', '/usr/lib/aarch64-linux-gnu/libdnn.so')

MAX_DIMENSIONS = 8
LAYOUTS = {0: 'NHWC', 2: 'NCHW'}  # 255 says nothing
QUANTIZATIONS = ('NONE', 'SHIFT', 'SCALE')
QUANTI_NONE, QUANTI_SHIFT, QUANTI_SCALE = range(3)
NV12, NV12_SEPARATE = 1, 2
# hbDNNDataType, in its documented order from 0.
DATA_TYPES = ('Y', 'NV12', 'NV12_SEPARATE', 'YUV444', 'RGB', 'BGR', 'S4', 'U4', 'S8', 'U8', 'F16',
              'S16', 'U16', 'F32', 'S32', 'U32', 'F64', 'S64', 'U64')
DTYPES = {'S8': 'int8', 'U8': 'uint8', 'F16': 'float16', 'S16': 'int16', 'U16': 'uint16',
          'F32': 'float32', 'S32': 'int32', 'U32': 'uint32', 'F64': 'float64', 'S64': 'int64',
          'U64': 'uint64'}
"""The numpy dtypes of tensors; numbers of 4 bits have none."""
INVALIDATE, CLEAN = 1, 2
CORE_ANY = 0
CORES = (1 << 0, 1 << 1)
"""hbBPUCore of core 0 and core 1; no more are documented."""
MAX_TASKS = 32


class hbSysMem(c.Structure):  # noqa: N801  the documented name, as for the rest
    """A piece of BPU memory."""

    _fields_ = [('phyAddr', c.c_uint64), ('virAddr', c.c_void_p), ('memSize', c.c_uint32)]


class hbDNNTensorShape(c.Structure):  # noqa: N801
    """A shape, valid up to `numDimensions`."""

    _fields_ = [('dimensionSize', c.c_int32 * MAX_DIMENSIONS), ('numDimensions', c.c_int32)]


class hbDNNQuantiShift(c.Structure):  # noqa: N801
    """Powers of two that a tensor is divided by."""

    _fields_ = [('shiftLen', c.c_int32), ('shiftData', c.POINTER(c.c_uint8))]


class hbDNNQuantiScale(c.Structure):  # noqa: N801
    """Scales, and zero points."""

    _fields_ = [('scaleLen', c.c_int32), ('scaleData', c.POINTER(c.c_float)),
                ('zeroPointLen', c.c_int32), ('zeroPointData', c.POINTER(c.c_int8))]


class hbDNNTensorProperties(c.Structure):  # noqa: N801
    """What a tensor is like; `stride` is in bytes."""

    _fields_ = [('validShape', hbDNNTensorShape), ('alignedShape', hbDNNTensorShape),
                ('tensorLayout', c.c_int32), ('tensorType', c.c_int32),
                ('shift', hbDNNQuantiShift), ('scale', hbDNNQuantiScale),
                ('quantiType', c.c_int32), ('quantizeAxis', c.c_int32),
                ('alignedByteSize', c.c_int32), ('stride', c.c_int32 * MAX_DIMENSIONS)]


class hbDNNTensor(c.Structure):  # noqa: N801
    """A tensor and its memory: the first block, for NV12_SEPARATE the first two."""

    _fields_ = [('sysMem', hbSysMem * 4), ('properties', hbDNNTensorProperties)]


class hbDNNInferCtrlParam(c.Structure):  # noqa: N801
    """How a task is to be scheduled."""

    _fields_ = [('bpuCoreId', c.c_int32), ('dspCoreId', c.c_int32), ('priority', c.c_int32),
                ('more', c.c_int32), ('customId', c.c_int64), ('reserved1', c.c_int32),
                ('reserved2', c.c_int32)]


STRUCTURES = (hbSysMem, hbDNNTensorShape, hbDNNQuantiShift, hbDNNQuantiScale,
              hbDNNTensorProperties, hbDNNTensor, hbDNNInferCtrlParam)

_HANDLE = c.c_void_p
_PROPERTIES = c.POINTER(hbDNNTensorProperties)
_MEMORY = c.POINTER(hbSysMem)
_INT = c.POINTER(c.c_int32)
_TEXT = c.POINTER(c.c_char_p)
# The arguments of each function; all of them return int32, 0 for success.
_PROTOTYPES = {
    'hbDNNInitializeFromFiles': (c.POINTER(_HANDLE), _TEXT, c.c_int32),
    'hbDNNRelease': (_HANDLE,),
    'hbDNNGetModelNameList': (c.POINTER(_TEXT), _INT, _HANDLE),
    'hbDNNGetModelHandle': (c.POINTER(_HANDLE), _HANDLE, c.c_char_p),
    'hbDNNGetInputCount': (_INT, _HANDLE),
    'hbDNNGetOutputCount': (_INT, _HANDLE),
    'hbDNNGetInputName': (_TEXT, _HANDLE, c.c_int32),
    'hbDNNGetOutputName': (_TEXT, _HANDLE, c.c_int32),
    'hbDNNGetInputTensorProperties': (_PROPERTIES, _HANDLE, c.c_int32),
    'hbDNNGetOutputTensorProperties': (_PROPERTIES, _HANDLE, c.c_int32),
    'hbDNNInfer': (c.POINTER(_HANDLE), c.POINTER(c.POINTER(hbDNNTensor)),
                   c.POINTER(hbDNNTensor), _HANDLE, c.POINTER(hbDNNInferCtrlParam)),
    'hbDNNWaitTaskDone': (_HANDLE, c.c_int32),
    'hbDNNReleaseTask': (_HANDLE,),
    'hbSysAllocCachedMem': (_MEMORY, c.c_uint32),
    'hbSysFlushMem': (_MEMORY, c.c_int32),
    'hbSysFreeMem': (_MEMORY,),
}
FUNCTIONS = tuple(_PROTOTYPES)

_loaded: dict[str, c.CDLL] = {}


def find() -> Optional[str]:
    """Return the library's path or name, or None; RDK_YOLO_LIBDNN goes before everything."""
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        return named
    return next((place for place in _PLACES if Path(place).is_file()), find_library('dnn'))


def load() -> c.CDLL:
    """
    Return the library, with the functions' prototypes set; loaded once.

    A CDLL lets go of the interpreter's lock for as long as each call takes.

    Raises:
        RuntimeUnavailableError: it is not there, cannot be loaded, or is another one.

    """
    name = find()
    if name is None:
        raise RuntimeUnavailableError(
            'libdnn.so is not on this machine (looked at ' + ', '.join(_PLACES) + ' and what '
            'ldconfig knows); RDK X3 and X5 have it with RDK OS (package hobot-dnn); '
            f'{LIBRARY_VARIABLE} may name another place')
    if name not in _loaded:
        _loaded[name] = _load(name)
    return _loaded[name]


def _load(name: str) -> c.CDLL:
    try:
        library = c.CDLL(name)
    except OSError as error:
        raise RuntimeUnavailableError(
            f'{name} cannot be loaded: {error}; check that it belongs to this system and that '
            f'the libraries it needs are there (ldd {name})'
            + (f', or unset {LIBRARY_VARIABLE}' if os.environ.get(LIBRARY_VARIABLE) else '')
        ) from None
    lacking = [function for function in _PROTOTYPES if not hasattr(library, function)]
    if 'hbDNNInfer' in lacking and hasattr(library, 'hbDNNInferV2'):
        raise RuntimeUnavailableError(f'{name} is the S boards\' libdnn, which works otherwise '
                                      'than that of X3 and X5; use `runtime: hbm`')
    if lacking:
        raise RuntimeUnavailableError(f'{name} has no {", ".join(lacking)}, so that it is not the '
                                      'libdnn of RDK X3 and X5')
    for function, arguments in _PROTOTYPES.items():
        getattr(library, function).argtypes = arguments
        getattr(library, function).restype = c.c_int32
    return library
