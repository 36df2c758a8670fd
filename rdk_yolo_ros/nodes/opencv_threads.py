"""How many threads OpenCV splits a picture over."""

from __future__ import annotations

import os

import cv2


def keep_to_own_threads() -> None:
    """
    Let OpenCV work in the threads that call it, unless OPENCV_FOR_THREADS_NUM is set.

    Frames are processed side by side already, and OpenCV's threads spin while they wait for the
    next piece: at camera rates they take nearly as much again and gain no time. This holds for
    the whole process.
    """
    if 'OPENCV_FOR_THREADS_NUM' not in os.environ:
        cv2.setNumThreads(1)
