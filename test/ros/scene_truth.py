"""Recorded synthetic scenes, and how what a node found in them compares with their truth."""

import numpy as np
import pytest

from rdk_yolo_ros.frame import Frame
from rdk_yolo_ros.scenes import SceneVideo


def stamp_of(message):
    """Return a message's stamp in nanoseconds."""
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def scene_bag(path, width, height, frames, rate, storage):
    """Write a film's frames, a second apart in the film, and return the truth by stamp."""
    pytest.importorskip('rosbags')
    from scene_bag import stamps, write_bag
    video = SceneVideo(7, width, height)
    times = list(stamps(frames, rate))
    scenes = [video.frame(30 * i) for i in range(frames)]
    write_bag(path, ((stamp, Frame.from_nv12(Frame.from_bgr(scene.image).to_nv12()))
                     for stamp, scene in zip(times, scenes)), storage)
    return {stamp: scene.instances for stamp, scene in zip(times, scenes)}


def iou(boxes, others):
    """Return every box's IoU with every other, (n, m)."""
    top = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (bottom - top).clip(0).prod(axis=2)
    area, other_area = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    return shared / (area[:, None] + other_area[None] - shared)


def match(detections, truth):
    """Pair detections with instances of their class: [(detection, instance)], best score first."""
    pairs, free = [], set(range(len(truth)))
    if not truth:
        return pairs
    overlaps = iou(detections.boxes, np.stack([instance.box for instance in truth]))
    for i, class_id in enumerate(detections.class_ids):
        rivals = [j for j in free if truth[j].class_id == class_id and overlaps[i, j] >= 0.5]
        if rivals:
            best = max(rivals, key=lambda j: overlaps[i, j])
            free.remove(best)
            pairs.append((i, best))
    return pairs
