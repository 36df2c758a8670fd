"""
Measures the demo models on held-out scenes through the package's own path.

Scene -> full-range NV12 -> Frame -> Predictor (letterbox, ONNX Runtime, decoding) -> pycocotools.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys
import time
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from coco_metrics import coco_metrics  # noqa: E402
from scenes import HELD_OUT_SEEDS, coco_ground_truth, encode_mask, held_out_scene  # noqa: E402

from rdk_yolo_ros.detections import Detections  # noqa: E402
from rdk_yolo_ros.frame import Frame  # noqa: E402
from rdk_yolo_ros.predictor import Predictor  # noqa: E402
from rdk_yolo_ros.scenes import Scene  # noqa: E402
from rdk_yolo_ros.work_config import WorkConfig  # noqa: E402

TASKS = ('detect', 'segment', 'pose')
KINDS = {'detect': ('bbox',), 'segment': ('bbox', 'segm'), 'pose': ('bbox', 'keypoints')}
TITLES = {'bbox': 'box', 'segm': 'mask', 'keypoints': 'key points'}
TARGETS = {'bbox': 0.85, 'segm': 0.80, 'keypoints': 0.60}
MOST_TWIN_DIFFERENCE = 0.01
# COCO's average precision integrates over all scores and counts at most 100 results an image.
SCORE_THRESHOLD, MAX_DETECTIONS = 0.001, 100


def coco_results(image_id: int, detections: Detections) -> list[dict[str, Any]]:
    """One image's detections as COCO results."""
    results = []
    for i in range(len(detections)):
        x1, y1, x2, y2 = (float(v) for v in detections.boxes[i])
        result: dict[str, Any] = {
            'image_id': image_id, 'category_id': int(detections.class_ids[i]) + 1,
            'score': float(detections.scores[i]), 'bbox': [x1, y1, x2 - x1, y2 - y1]}
        if detections.masks is not None:
            result['segmentation'] = encode_mask(detections.masks.full(i))
        if detections.keypoints is not None:
            result['keypoints'] = [float(v) for v in detections.keypoints[i].ravel()]
        results.append(result)
    return results


def evaluate(path: Path, scenes: dict[int, Scene], truths: dict[bool, dict[str, Any]]
             ) -> dict[str, dict[str, float]]:
    """Return mAP50-95 and mAP50 of one model, by COCO's kinds."""
    config = WorkConfig.from_mapping({'model_file': str(path)}, source=path.name)
    results: list[dict[str, Any]] = []
    with Predictor.from_config(config, score_threshold=SCORE_THRESHOLD,
                               max_detections=MAX_DETECTIONS) as predictor:
        for seed, scene in scenes.items():
            nv12 = Frame.from_bgr(scene.image).to_nv12('full')
            results += coco_results(seed, predictor(Frame.from_nv12(nv12, 'full')))
        task = predictor.task
    truth = truths[task == 'pose']
    return {kind: coco_metrics(truth, results, kind) for kind in KINDS[task]}


def table(report: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return the report as a Markdown table."""
    lines = ['| model | ' + ' | '.join(f'{t} mAP50-95 | {t} mAP50' for t in TITLES.values())
             + ' |', '|---' * 7 + '|']
    for name, metrics in report.items():
        cells = []
        for kind in TITLES:
            values = metrics.get(kind)
            cells += [f'{values[key]:.3f}' if values else '' for key in ('map', 'map50')]
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def shortfalls(report: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """Return a line for each target that a model misses."""
    missed = []
    for name, metrics in report.items():
        for kind, values in metrics.items():
            # A pose model's boxes are a by-product; the targets are about each task's own result.
            if values['map'] < TARGETS[kind] and not (kind == 'bbox' and 'pose' in name):
                missed.append(f'{name}: {TITLES[kind]} mAP50-95 {values["map"]:.3f}, '
                              f'target {TARGETS[kind]:.2f}')
            twin = report.get(f'{name}_int32', {}).get(kind)
            if twin and abs(twin['map'] - values['map']) > MOST_TWIN_DIFFERENCE:
                missed.append(f'{name}_int32: {TITLES[kind]} mAP50-95 {twin["map"]:.3f}, the '
                              f'float model has {values["map"]:.3f}')
    return missed


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; with --check, return 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--models', type=Path, default=ROOT / 'models')
    parser.add_argument('--scenes', type=int, default=len(HELD_OUT_SEEDS))
    parser.add_argument('--only', nargs='*', help='model names, such as demo_pose')
    parser.add_argument('--json', type=Path, help='write the numbers to this file')
    parser.add_argument('--check', action='store_true', help='fail when a target is missed')
    args = parser.parse_args(arguments)
    started = time.perf_counter()
    seeds = HELD_OUT_SEEDS[:args.scenes]
    scenes = {seed: held_out_scene(seed) for seed in seeds}
    truths = {False: coco_ground_truth(seeds, scenes=scenes),
              True: coco_ground_truth(seeds, class_ids=(0,), scenes=scenes)}
    report = {}
    for name in (f'demo_{task}{twin}' for twin in ('', '_int32') for task in TASKS):
        if not args.only or name in args.only:
            report[name] = evaluate(args.models / f'{name}.onnx', scenes, truths)
    print(table(report))
    instances = len(truths[False]['annotations'])
    print(f'\n{len(scenes)} held-out scenes, {instances} instances; '
          f'{time.perf_counter() - started:.0f} s')
    missed = shortfalls(report)
    print('\n'.join(missed) if missed else 'every target is met')
    if args.json:
        args.json.write_text(json.dumps({'scenes': len(scenes), 'instances': instances,
                                         'models': report}, indent=2) + '\n')
    return 1 if missed and args.check else 0


if __name__ == '__main__':
    sys.exit(main())
