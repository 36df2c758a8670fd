"""Scenes as data sets: training samples from a pool of processes, held-out scenes as COCO."""

from collections.abc import Iterable
from dataclasses import dataclass
import multiprocessing
from typing import Optional

import cv2
import numpy as np

from rdk_yolo_ros.scenes import CLASS_NAMES, KEYPOINT_NAMES, Scene, render_scene

HELD_OUT_SEEDS = range(0, 300)
"""Never trained on: training seeds start at a million."""
FIRST_TRAINING_SEED = 1_000_000
HELD_OUT_SIZES = ((640, 480), (640, 640), (1280, 720))
"""Width and height of held-out scene `seed` is entry `seed % 3`."""

_SKELETON = ((5, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13),
             (13, 15), (12, 14), (14, 16), (0, 1), (0, 2), (1, 3), (2, 4))


def held_out_scene(seed: int) -> Scene:
    """Render a held-out scene in its own size."""
    width, height = HELD_OUT_SIZES[seed % len(HELD_OUT_SIZES)]
    return render_scene(seed, width, height)


# Aspect and how much larger than the model's input the frames are: 640x480, 640x640, 1280x720 and
# 1920x1080 cameras before a model of 640 pixels, and anything else.
_CAMERAS: tuple[tuple[float | None, float], ...] = (
    (4 / 3, 1.), (1., 1.), (16 / 9, 2.), (16 / 9, 3.), (None, 1.))
_CAMERA_SHARES = (.30, .27, .25, .03, .15)


@dataclass
class Sample:
    """One training image of S x S pixels with its targets."""

    image: np.ndarray
    """uint8 (S, S, 3) RGB."""
    boxes: np.ndarray
    """float32 (n, 4) x1 y1 x2 y2."""
    classes: np.ndarray
    """int64 (n,)."""
    keypoints: np.ndarray
    """float32 (n, 17, 3); visibility 0 throughout where there is no person."""
    areas: np.ndarray
    """float32 (n,) visible pixels."""
    masks: np.ndarray
    """uint8 (n, S/4, S/4), 255 where a cell is fully covered."""


def training_sample(seed: int, size: int) -> Sample:
    """Render a scene of a random shape and letterbox it, as cameras' frames will be."""
    rng = np.random.default_rng((seed, 77))
    aspect, oversize = _CAMERAS[rng.choice(len(_CAMERAS), p=_CAMERA_SHARES)]
    long_side = float(size)
    if aspect is None:
        aspect = float(np.exp(rng.uniform(np.log(3 / 4), np.log(16 / 9))))
        long_side = size * rng.uniform(0.75, 1.)
        oversize = rng.uniform(1., 1.6)
    width = int(round(long_side * min(aspect, 1.) / 2)) * 2
    height = int(round(long_side / max(aspect, 1.) / 2)) * 2
    full_width, full_height = (int(round(v * oversize / 2)) * 2 for v in (width, height))
    scene = render_scene(seed, full_width, full_height)
    image = scene.image
    if rng.random() < 0.8:   # cameras deliver chroma at half the resolution
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420),
                             cv2.COLOR_YUV2BGR_I420)
    scale = np.array((width / full_width, height / full_height), np.float32)
    if oversize > 1:
        how = cv2.INTER_LINEAR if rng.random() < 0.85 else cv2.INTER_AREA
        image = cv2.resize(image, (width, height), interpolation=how)
    left, top = (size - width) // 2, (size - height) // 2
    if rng.random() < 0.3:
        left, top = int(rng.integers(0, size - width + 1)), int(rng.integers(0, size - height + 1))
    canvas = np.full((size, size, 3), int(rng.choice((114, 127, 0, 16))), np.uint8)
    canvas[top:top + height, left:left + width] = image[..., ::-1]

    count = len(scene.instances)
    boxes, keypoints = np.zeros((count, 4), np.float32), np.zeros((count, 17, 3), np.float32)
    classes, areas = np.zeros(count, np.int64), np.zeros(count, np.float32)
    masks = np.zeros((count, size // 4, size // 4), np.uint8)
    plane = np.zeros((size, size), np.uint8)
    offset = np.array((left, top), np.float32)
    for i, instance in enumerate(scene.instances):
        boxes[i] = (instance.box.reshape(2, 2) * scale + offset).ravel()
        classes[i] = instance.class_id
        areas[i] = np.count_nonzero(instance.mask) * scale[0] * scale[1]
        if instance.keypoints is not None:
            keypoints[i] = instance.keypoints
            seen = keypoints[i, :, 2] > 0
            keypoints[i, seen, :2] = keypoints[i, seen, :2] * scale + offset
        mask = instance.full_mask(full_height, full_width).astype(np.uint8) * 255
        if oversize > 1:
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        plane[top:top + height, left:left + width] = mask
        masks[i] = cv2.resize(plane, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    return Sample(canvas, boxes, classes, keypoints, areas, masks)


def _render_for_ever(queue, first: int, step: int, size: int) -> None:
    cv2.setNumThreads(1)
    seed = first
    while True:
        queue.put(training_sample(seed, size))
        seed += step


class SampleCache:
    """Samples of one size in memory, renewed little by little while they are used.

    `take(n, fresh)` replaces the oldest `fresh` samples by new ones and draws n, the new ones
    among them, so each sample is used about n / fresh times.
    """

    def __init__(self, size: int, capacity: int, first_seed: int, workers: int = 1) -> None:
        self.size, self._capacity = size, capacity
        context = multiprocessing.get_context('spawn')
        self._queue = context.Queue(maxsize=48)
        self._workers = [context.Process(
            target=_render_for_ever, daemon=True,
            args=(self._queue, first_seed + i, workers, size)) for i in range(workers)]
        for worker in self._workers:
            worker.start()
        self._samples: list[Sample] = []
        self._next = 0
        self.rendered = 0

    def grow(self, count: int) -> None:
        """Wait for `count` new samples; past the capacity they replace the oldest."""
        for _ in range(count):
            sample = self._queue.get(timeout=120)
            self.rendered += 1
            if len(self._samples) < self._capacity:
                self._samples.append(sample)
            else:
                self._samples[self._next % self._capacity] = sample
                self._next += 1

    def take(self, count: int, fresh: int, rng: np.random.Generator) -> list[Sample]:
        """Draw `count` samples, `fresh` of them never seen before."""
        before = len(self._samples)
        self.grow(fresh)
        if before < self._capacity:
            newest = self._samples[-fresh:] if fresh else []
        else:
            newest = [self._samples[(self._next - 1 - i) % self._capacity] for i in range(fresh)]
        others = rng.integers(0, len(self._samples), count - len(newest))
        return newest + [self._samples[i] for i in others]

    def close(self) -> None:
        """Stop the renderers and forget the samples."""
        for worker in self._workers:
            worker.terminate()
        for worker in self._workers:
            worker.join()
        self._samples = []


def encode_mask(mask: np.ndarray) -> dict:
    """Return a bool (h, w) mask as COCO's run lengths."""
    from pycocotools import mask as coco_mask
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {'size': [int(v) for v in rle['size']], 'counts': rle['counts'].decode()}


def coco_ground_truth(seeds: Iterable[int], class_ids: Optional[tuple[int, ...]] = None,
                      scenes: Optional[dict[int, Scene]] = None) -> dict:
    """Held-out scenes' truth as a COCO dict; image ids are the seeds, category ids class + 1.

    `class_ids` keeps some classes only (a pose model knows persons alone); `scenes` saves
    rendering those that the caller has.
    """
    images, annotations = [], []
    for seed in seeds:
        scene = scenes[seed] if scenes else held_out_scene(seed)
        height, width = scene.image.shape[:2]
        images.append({'id': int(seed), 'width': width, 'height': height,
                       'file_name': f'{seed:06d}.png'})
        for instance in scene.instances:
            if class_ids is not None and instance.class_id not in class_ids:
                continue
            x1, y1, x2, y2 = (float(v) for v in instance.box)
            annotation = {
                'id': len(annotations) + 1, 'image_id': int(seed),
                'category_id': instance.class_id + 1, 'iscrowd': 0,
                'bbox': [x1, y1, x2 - x1, y2 - y1],
                'area': float(np.count_nonzero(instance.mask)),
                'segmentation': encode_mask(instance.full_mask(height, width))}
            if instance.keypoints is not None:
                annotation['keypoints'] = [float(v) for v in instance.keypoints.ravel()]
                annotation['num_keypoints'] = int((instance.keypoints[:, 2] > 0).sum())
            annotations.append(annotation)
    categories = []
    for index, name in enumerate(CLASS_NAMES):
        category = {'id': index + 1, 'name': name, 'supercategory': name}
        if name == 'person':
            category['keypoints'] = list(KEYPOINT_NAMES)
            category['skeleton'] = [[a + 1, b + 1] for a, b in _SKELETON]
        categories.append(category)
    return {'info': {'description': 'rdk_yolo_ros synthetic scenes'}, 'licenses': [],
            'images': images, 'annotations': annotations, 'categories': categories}
