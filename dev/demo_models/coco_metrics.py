"""COCO's own evaluation, reduced to two numbers."""

from __future__ import annotations

from collections.abc import Sequence
import contextlib
import io
from typing import Any

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def coco_metrics(truth: dict[str, Any], results: Sequence[dict[str, Any]], kind: str
                 ) -> dict[str, float]:
    """
    Return mAP50-95 and mAP50, 'map' and 'map50', of COCO results.

    `kind` is 'bbox', 'segm' or 'keypoints'; key points count for persons alone.
    """
    if not results:
        return {'map': 0., 'map50': 0.}
    # Without this, loadRes would take a box for a mask where results hold both.
    wanted = {'bbox': 'bbox', 'segm': 'segmentation', 'keypoints': 'keypoints'}[kind]
    kept = [{key: result[key] for key in ('image_id', 'category_id', 'score', wanted)}
            for result in results if wanted in result]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(kept), kind)
        if kind == 'keypoints':
            run.params.catIds = [1]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return {'map': float(run.stats[0]), 'map50': float(run.stats[1])}
