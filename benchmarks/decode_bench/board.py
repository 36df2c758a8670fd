"""The C++ loop of board.cpp, compiled here and called through ctypes."""

from __future__ import annotations

import ctypes
from pathlib import Path
import subprocess

import numpy as np

from rdk_yolo_ros.letterbox import Letterbox

SOURCE = Path(__file__).with_name('board.cpp')
FLAGS = ('-std=c++17', '-O3', '-march=native', '-fPIC', '-shared')
TASKS = ('detect', 'pose', 'obb')  # board.cpp's numbers
_EXTRA_ROLES = {'pose': 'keypoints', 'obb': 'angle'}


class _Level(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ('classes', 'boxes', 'extra')] \
        + [(name, ctypes.c_int) for name in ('height', 'width', 'stride')]


class _Frame(ctypes.Structure):
    _fields_ = [('levels', ctypes.POINTER(_Level))] \
        + [(name, ctypes.c_int) for name in ('level_num', 'task', 'class_num', 'reg_max',
                                             'num_keypoints')] \
        + [(name, ctypes.c_float) for name in (
            'score_threshold', 'iou_threshold', 'left', 'top', 'scale_x', 'scale_y',
            'source_width', 'source_height')] \
        + [('limit', ctypes.c_int)] \
        + [(name, ctypes.c_void_p) for name in ('boxes', 'scores', 'class_ids', 'angles',
                                                'keypoints')]


def compile_loop(folder: Path) -> ctypes.CDLL:
    """
    Compile board.cpp into `folder`, for this very processor, and load it.

    Raises:
        SystemExit: there is no g++, or it failed; with what it said.

    """
    library = folder / 'board.so'
    try:
        subprocess.run(['g++', *FLAGS, '-o', str(library), str(SOURCE)], check=True,
                       capture_output=True, text=True)
    except FileNotFoundError:
        raise SystemExit('decode benchmark: g++ is missing: sudo apt install g++') from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f'decode benchmark: g++ failed on {SOURCE}\n{error.stderr}') from None
    return ctypes.CDLL(str(library))


class BoardLoop:
    """
    The C++ loop over one frame's heads, into result arrays that are made once.

    Attributes:
        boxes: float32 (limit, 4): x1 y1 x2 y2, or x y w h of turned boxes, source pixels.
        scores: float32 (limit,).
        class_ids: int32 (limit,).
        angles: float32 (limit,), radians; obb only.
        keypoints: float32 (limit, K, 3); pose only.

    """

    def __init__(self, library: ctypes.CDLL, task: str, heads: dict[tuple[str, int], np.ndarray],
                 letterbox: Letterbox, score_threshold: float, iou_threshold: float,
                 limit: int) -> None:
        """
        Point at the heads; what the loop needs from Python is worked out here, not in a frame.

        heads: {(role, stride): float32 (h, w, c)}; must not change place.
        """
        strides = sorted(stride for role, stride in heads if role == 'class')
        role = _EXTRA_ROLES.get(task)
        self._heads = {key: np.ascontiguousarray(head, np.float32)
                       for key, head in heads.items()}
        self._levels = (_Level * len(strides))(*(
            _Level(self._heads['class', s].ctypes.data, self._heads['box', s].ctypes.data,
                   self._heads[role, s].ctypes.data if role else None,
                   *self._heads['class', s].shape[:2], s) for s in strides))
        points = heads[role, strides[0]].shape[2] // 3 if task == 'pose' else 0
        self.boxes = np.empty((limit, 4), np.float32)
        self.scores = np.empty(limit, np.float32)
        self.class_ids = np.empty(limit, np.int32)
        self.angles = np.empty(limit, np.float32)
        self.keypoints = np.empty((limit, points, 3), np.float32)
        height, width = letterbox.source_hw
        self._frame = _Frame(
            self._levels, len(strides), TASKS.index(task), heads['class', strides[0]].shape[2],
            heads['box', strides[0]].shape[2] // 4, points, score_threshold, iou_threshold,
            letterbox.left, letterbox.top, letterbox.scale_x, letterbox.scale_y, width, height,
            limit, *(array.ctypes.data for array in (
                self.boxes, self.scores, self.class_ids, self.angles, self.keypoints)))
        self._task = task
        self._decode = library.decode
        self._argument = ctypes.byref(self._frame)

    def __call__(self) -> int:
        """Decode once; returns how many instances the arrays now begin with."""
        return self._decode(self._argument)

    def result(self) -> list[np.ndarray]:
        """Decode once; returns boxes, scores, class ids and, for pose and obb, what is added."""
        added = {'pose': [self.keypoints], 'obb': [self.angles]}.get(self._task, [])
        count = self()
        return [array[:count].copy()
                for array in (self.boxes, self.scores, self.class_ids, *added)]
