"""A plain look at a network in training; `evaluate.py` has the numbers that count."""

from collections.abc import Iterable

from coco_metrics import coco_metrics
import cv2
from losses import anchor_points, decode_boxes, flatten, iou
import numpy as np
from pycocotools import mask as coco_mask
from scenes import coco_ground_truth, held_out_scene
import torch

SIZE = 640


def _nms(boxes: np.ndarray, scores: np.ndarray, classes: np.ndarray, threshold: float = 0.7
         ) -> list[int]:
    order, keep = list(np.argsort(-scores)), []
    moved = torch.from_numpy(boxes + classes[:, None] * 10000.)
    while order and len(keep) < 100:
        best = order.pop(0)
        keep.append(best)
        if order:
            overlap = iou(moved[best][None], moved[order]).numpy()
            order = [o for o, v in zip(order, overlap) if v < threshold]
    return keep


@torch.no_grad()
def quick_check(net: torch.nn.Module, seeds: Iterable[int]) -> dict[str, float]:
    """Box, mask and key point mAP50-95 of some held-out scenes."""
    net.eval()
    seeds = list(seeds)
    scenes = {seed: held_out_scene(seed) for seed in seeds}
    truth = coco_ground_truth(seeds, scenes=scenes)
    points, strides = anchor_points(SIZE, torch.device('cpu'))
    device = next(net.parameters()).device
    results, people = [], []
    for seed, scene in scenes.items():
        height, width = scene.image.shape[:2]
        scale = min(SIZE / height, SIZE / width)
        h, w = round(height * scale), round(width * scale)
        top, left = (SIZE - h) // 2, (SIZE - w) // 2
        canvas = np.full((SIZE, SIZE, 3), 114, np.uint8)
        canvas[top:top + h, left:left + w] = cv2.resize(scene.image, (w, h))[..., ::-1]
        x = torch.from_numpy(canvas).permute(2, 0, 1)[None].float() / 255
        outputs = {k: v.float().cpu() for k, v in
                   net(x.to(device).to(memory_format=torch.channels_last)).items()}
        scores, classes = flatten(outputs, 'cls')[0].sigmoid().max(-1)
        cells = (scores > 0.01).nonzero()[:, 0]
        cells = cells[scores[cells].argsort(descending=True)[:400]]
        if not len(cells):
            continue
        boxes = decode_boxes(flatten(outputs, 'box')[0, cells], points[cells], strides[cells])
        keep = _nms(boxes.numpy(), scores[cells].numpy(), classes[cells].numpy())
        cells, boxes = cells[keep], boxes[keep]
        raw = flatten(outputs, 'kpt')[0, cells].unflatten(-1, (17, 3))
        corner = points[cells] / strides[cells, None] - 0.5
        xy = (raw[..., :2] * 2 + corner[:, None]) * strides[cells, None, None]
        logits = (flatten(outputs, 'coef')[0, cells] @ outputs['proto'][0].flatten(1)).view(
            1, -1, SIZE // 4, SIZE // 4)
        logits = torch.nn.functional.interpolate(logits, scale_factor=4., mode='bilinear')[0]
        logits = logits[:, top:top + h, left:left + w].numpy()
        for i, cell in enumerate(cells.tolist()):
            box = ((boxes[i].reshape(2, 2).numpy() - (left, top)) / scale).clip(
                0, (width, height)).ravel()
            mask = cv2.resize(logits[i], (width, height)) > 0
            inside = np.zeros_like(mask)
            x1, y1, x2, y2 = (int(round(v)) for v in box)
            inside[y1:y2, x1:x2] = True
            rle = coco_mask.encode(np.asfortranarray((mask & inside).astype(np.uint8)))
            result = {'image_id': seed, 'category_id': int(classes[cell]) + 1,
                      'score': float(scores[cell]), 'segmentation': rle,
                      'bbox': [box[0], box[1], box[2] - box[0], box[3] - box[1]]}
            results.append(result)
            if classes[cell] == 0:
                kpt = np.ones((17, 3))
                kpt[:, :2] = (xy[i].numpy() - (left, top)) / scale
                people.append({'image_id': seed, 'category_id': 1, 'score': result['score'],
                               'keypoints': kpt.ravel().tolist()})
    return {'box': coco_metrics(truth, results, 'bbox')['map'],
            'mask': coco_metrics(truth, results, 'segm')['map'],
            'kpt': coco_metrics(truth, people, 'keypoints')['map']}
