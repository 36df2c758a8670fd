"""Which cell answers for which instance, and how wrong its answers are.

Task-aligned assignment after Feng et al. 2021 (TOOD); CIoU after Zheng et al. 2020; distribution
focal loss after Li et al. 2020; object key point similarity as in COCO's evaluation.
"""

import math

from network import NUM_KEYPOINTS, REG_MAX, STRIDES
import torch
from torch import Tensor
from torch.nn import functional as nnf

OKS_SIGMAS = torch.tensor((.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062,
                           .107, .107, .087, .087, .089, .089))
# Elbows, wrists, knees and ankles move most and are found worst.
KEYPOINT_WEIGHTS = torch.tensor((1., 1, 1, 1, 1, 1, 1, 1.5, 1.5, 2.2, 2.2, 1, 1, 1.2, 1.2, 1.5,
                                 1.5))
TOP_K = 10
MASKS_PER_IMAGE = 10


def anchor_points(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cell centres in pixels (A, 2) and strides (A,) of a square image."""
    points, strides = [], []
    for stride in STRIDES:
        cells = torch.arange(size // stride, device=device, dtype=torch.float32) + 0.5
        y, x = torch.meshgrid(cells, cells, indexing='ij')
        points.append(torch.stack((x, y), -1).reshape(-1, 2) * stride)
        strides.append(torch.full((points[-1].shape[0],), float(stride), device=device))
    return torch.cat(points), torch.cat(strides)


def flatten(outputs: dict[str, Tensor], kind: str) -> Tensor:
    """Return the three levels of a head as float32 (B, A, C)."""
    return torch.cat([outputs[f'{kind}_{s}'].flatten(2).transpose(1, 2) for s in STRIDES],
                     1).float()


def decode_boxes(logits: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """DFL logits (..., 64) at cell centres (..., 2) to x1 y1 x2 y2 in pixels."""
    bins = torch.arange(REG_MAX, device=logits.device, dtype=torch.float32)
    distances = (logits.unflatten(-1, (4, REG_MAX)).softmax(-1) @ bins) * strides[..., None]
    return torch.cat((points - distances[..., :2], points + distances[..., 2:]), -1)


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes (..., 4), broadcast."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    inter = (high - low).clamp(min=0).prod(-1)
    area_a = (a[..., 2:] - a[..., :2]).prod(-1)
    area_b = (b[..., 2:] - b[..., :2]).prod(-1)
    return inter / (area_a + area_b - inter + 1e-7)


def ciou(a: Tensor, b: Tensor) -> Tensor:
    """Complete IoU of matched boxes (n, 4)."""
    plain = iou(a, b)
    low, high = torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])
    diagonal = (high - low).square().sum(-1) + 1e-7
    apart = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).square().sum(-1)
    wa, ha = (a[:, 2:] - a[:, :2]).clamp(min=1e-3).unbind(-1)
    wb, hb = (b[:, 2:] - b[:, :2]).clamp(min=1e-3).unbind(-1)
    v = (4 / math.pi ** 2) * (torch.atan(wb / hb) - torch.atan(wa / ha)).square()
    with torch.no_grad():
        alpha = v / (1 - plain + v + 1e-7)
    return plain - apart / diagonal - alpha * v


@torch.no_grad()
def assign(scores: Tensor, boxes: Tensor, points: Tensor, gt_boxes: Tensor, gt_classes: Tensor,
           valid: Tensor) -> tuple[Tensor, Tensor]:
    """Choose the cells that answer for each instance.

    scores (B, A, C) probabilities, boxes (B, A, 4), gt_boxes (B, M, 4), gt_classes (B, M), valid
    bool (B, M). Returns owner (B, A), the instance's index or -1, and the class target (B, A).
    """
    batch, count = gt_classes.shape
    # A thing smaller than a cell still needs a cell centre inside.
    center, half = (gt_boxes[..., :2] + gt_boxes[..., 2:]) / 2, \
        ((gt_boxes[..., 2:] - gt_boxes[..., :2]) / 2).clamp(min=6.)
    near = (points[None, None] - center[:, :, None]).abs() < half[:, :, None]
    inside = near.all(-1) & valid[..., None]
    overlap = iou(boxes[:, None], gt_boxes[:, :, None]) * inside
    score = scores.transpose(1, 2).gather(1, gt_classes[..., None].expand(-1, -1, scores.shape[1]))
    metric = (score.clamp(min=1e-9).sqrt() * overlap.pow(6) + 1e-12) * inside
    top = metric.topk(TOP_K, -1)
    chosen = torch.zeros_like(metric, dtype=torch.bool).scatter_(-1, top.indices, top.values > 0)
    # A cell wanted by several instances goes to the one that its box fits best.
    rival = torch.where(chosen, overlap + 1e-6, torch.zeros_like(overlap))
    best, owner = rival.max(1)
    chosen &= nnf.one_hot(owner, count).transpose(1, 2).bool()
    owner = torch.where(best > 0, owner, torch.full_like(owner, -1))
    kept = metric * chosen
    peak_metric, peak_overlap = kept.amax(-1, keepdim=True), (overlap * chosen).amax(-1, True)
    target = (kept / (peak_metric + 1e-12) * peak_overlap).amax(1)
    return owner, target * (owner >= 0)


def box_losses(logits: Tensor, gt: Tensor, points: Tensor, strides: Tensor, weight: Tensor
               ) -> tuple[Tensor, Tensor]:
    """Return CIoU and distribution focal losses of matched cells (n, ...), by weight (n,)."""
    boxes = decode_boxes(logits, points, strides)
    total = weight.sum().clamp(min=1.)
    box = ((1 - ciou(boxes, gt)) * weight).sum() / total
    wanted = torch.cat((points - gt[:, :2], gt[:, 2:] - points), -1) / strides[:, None]
    wanted = wanted.clamp(0, REG_MAX - 1.01)
    low = wanted.floor()
    share = wanted - low
    log = logits.unflatten(-1, (4, REG_MAX)).log_softmax(-1)
    index = low.long()[..., None]
    dfl = -(log.gather(-1, index)[..., 0] * (1 - share)
            + log.gather(-1, index + 1)[..., 0] * share).mean(-1)
    return box, (dfl * weight).sum() / total


def _keypoint_losses(raw: Tensor, gt: Tensor, areas: Tensor, points: Tensor, strides: Tensor,
                     weight: Tensor) -> tuple[Tensor, Tensor]:
    raw = raw.unflatten(-1, (NUM_KEYPOINTS, 3))
    seen = (gt[..., 2] > 0).float()
    corner = points / strides[:, None] - 0.5
    xy = (raw[..., :2] * 2 + corner[:, None]) * strides[:, None, None]
    square = (xy - gt[..., :2]).square().sum(-1)
    error = square / (8 * OKS_SIGMAS.to(raw.device).square() * (areas[:, None] + 1e-6))
    # Plain OKS has no gradient far off: the logarithm adds one.
    loss = 1 - torch.exp(-error) + 0.3 * torch.log1p(error)
    importance = KEYPOINT_WEIGHTS.to(raw.device) * seen
    loss = (loss * importance).sum(-1) / importance.sum(-1).clamp(min=1.)
    visible = nnf.binary_cross_entropy_with_logits(raw[..., 2], seen, reduction='none').mean(-1)
    total = weight.sum().clamp(min=1.)
    return (loss * weight).sum() / total, (visible * weight).sum() / total


def _mask_loss(coefficients: Tensor, proto: Tensor, owner: Tensor, gt_boxes: Tensor,
               masks: list[Tensor]) -> Tensor:
    """Binary cross entropy inside the instance's box, averaged over its pixels."""
    height, width = proto.shape[2:]
    x = torch.arange(width, device=proto.device) + 0.5
    y = torch.arange(height, device=proto.device) + 0.5
    chosen = []
    for b in range(len(masks)):
        cells = (owner[b] >= 0).nonzero()[:, 0]
        if len(cells) > MASKS_PER_IMAGE:
            cells = cells[torch.randperm(len(cells), device=cells.device)[:MASKS_PER_IMAGE]]
        chosen.append(cells)
    counts = [len(cells) for cells in chosen]
    image = torch.repeat_interleave(torch.arange(len(masks), device=proto.device),
                                    torch.tensor(counts, device=proto.device))
    # One gather and one unbind: indexing image by image would fill a gradient of the whole
    # batch's size for each.
    rows = coefficients[image, torch.cat(chosen)].split(counts)
    losses = []
    for b, (row, plane) in enumerate(zip(rows, proto.flatten(2).unbind(0))):
        if not counts[b]:
            continue
        index = owner[b, chosen[b]]
        logits = (row @ plane).view(-1, height, width)
        x1, y1, x2, y2 = (gt_boxes[b, index] / 4).unbind(-1)
        inside = (((x >= x1[:, None] - 0.5) & (x <= x2[:, None] + 0.5))[:, None]
                  & ((y >= y1[:, None] - 0.5) & (y <= y2[:, None] + 0.5))[:, :, None]).float()
        target = masks[b][index].float() / 255
        loss = nnf.binary_cross_entropy_with_logits(logits, target, reduction='none') * inside
        losses.append(loss.sum((1, 2)) / inside.sum((1, 2)).clamp(min=1.))
    if not losses:
        return proto.sum() * 0
    return torch.cat(losses).mean()


WEIGHTS = {'box': 10., 'dfl': 2.5, 'cls': 0.6, 'kpt': 9., 'vis': 0.5, 'mask': 5.}


def compute_losses(outputs: dict[str, Tensor], batch: dict) -> dict[str, Tensor]:
    """Every weighted part of the loss; their sum is what training minimises.

    batch: boxes (B, M, 4), classes (B, M), valid (B, M), keypoints (B, M, 17, 3), areas (B, M),
    masks list of uint8 (n, S/4, S/4), size S.
    """
    cls, box = flatten(outputs, 'cls'), flatten(outputs, 'box')
    points, strides = anchor_points(batch['size'], cls.device)
    with torch.no_grad():
        decoded = decode_boxes(box, points, strides)
    owner, target = assign(cls.detach().sigmoid(), decoded, points, batch['boxes'],
                           batch['classes'], batch['valid'])
    image, cell = (owner >= 0).nonzero(as_tuple=True)
    index, weight = owner[image, cell], target[image, cell]
    total = weight.sum().clamp(min=1.)
    wanted = torch.zeros_like(cls)
    wanted[image, cell, batch['classes'][image, index]] = weight
    parts = {'cls': nnf.binary_cross_entropy_with_logits(cls, wanted, reduction='sum') / total}
    gt = batch['boxes'][image, index]
    parts['box'], parts['dfl'] = box_losses(box[image, cell], gt, points[cell], strides[cell],
                                             weight)
    person = (batch['classes'][image, index] == 0) \
        & (batch['keypoints'][image, index][..., 2] > 0).any(-1)
    image, cell, index, weight = image[person], cell[person], index[person], weight[person]
    kpt = flatten(outputs, 'kpt')
    parts['kpt'], parts['vis'] = _keypoint_losses(
        kpt[image, cell], batch['keypoints'][image, index], batch['areas'][image, index],
        points[cell], strides[cell], weight)
    parts['mask'] = _mask_loss(flatten(outputs, 'coef'), outputs['proto'].float(), owner,
                               batch['boxes'], batch['masks'])
    return {name: value * WEIGHTS[name] for name, value in parts.items()}
