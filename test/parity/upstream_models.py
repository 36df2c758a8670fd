"""
Ultralytics' models with random weights: raw heads, and what Ultralytics itself makes of them.

A freshly built model says the same thing in every cell. So batch normalization takes a picture's
statistics, and the last convolutions are scaled until boxes differ and a known number of anchor
points passes the threshold.
"""

from contextlib import contextmanager
from functools import cache, lru_cache
import zlib

from agreement import PROTOTYPES
import torch
from torch import nn
from ultralytics.nn import tasks
from ultralytics.utils import nms, ops

# The pictures are small: threads that wait for one another would cost more than they bring.
torch.set_num_threads(1)

MODELS = {'detect': tasks.DetectionModel, 'segment': tasks.SegmentationModel,
          'pose': tasks.PoseModel, 'obb': tasks.OBBModel, 'classify': tasks.ClassificationModel}
# How upstream calls the task's own convolutions; YOLO26 computes key points in a second step.
EXTRA_HEADS = {'segment': ('mask_head',), 'pose': ('kpts_head', 'pose_head'),
               'obb': ('angle_head',)}
SCORE_THRESHOLD = 0.25
# Anchor points above the threshold: NMS has some to drop, and leaves 5 to 300.
CANDIDATES = 120


class RandomModel:
    """
    The head of one of Ultralytics' models on the features of one picture.

    Attributes:
        pair, input_hw: what it was made for.
        raw: {(role, stride): float32 (channels, h, w)}, the last convolutions' outputs; the
            roles are box, class and extra; the prototypes are at PROTOTYPES.

    """

    def __init__(self, pair, input_hw, candidates=CANDIDATES):
        """Scale the last convolutions for this picture, and take their outputs."""
        self.pair = pair
        self.input_hw = input_hw
        body = _model(pair)
        self._head = body.model[-1]
        self._head.end2end = pair.one_to_one
        self._convolutions = _convolutions(self._head, pair)
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(zlib.crc32(f'{pair} {input_hw}'.encode()))
            self._features = _features(body, _picture(input_hw))
            self._spread(candidates)
            self.raw = self._outputs()

    def table(self, raw=None):
        """
        Return what upstream's exported model would give, (1, columns, anchor points).

        (1, 300, columns) where it is one-to-one. `raw` replaces the last convolutions' outputs.
        """
        with torch.no_grad(), self._replaced(raw or self.raw):
            output = self._head(list(self._features))[0]
        return output[0] if self.pair.task == 'segment' else output

    def rows(self, raw=None, score_threshold=SCORE_THRESHOLD, nms_threshold=0.7, agnostic=False,
             double=False, **options):
        """
        Return upstream's instances: float (n, 6 + extra), model-input pixels, not clipped.

        x1 y1 x2 y2 (OBB: x y w h), score, class, then what the task adds. `double` suppresses in
        double precision: upstream puts classes 7680 pixels apart, so that single precision
        rounds the boxes of class 79 to 1/16 pixel.
        """
        pair = self.pair
        self._head.agnostic_nms = agnostic  # what its predictor does for one-to-one heads
        table = self.table(raw).clone()
        return nms.non_max_suppression(
            table.double() if double else table, score_threshold, nms_threshold,
            agnostic=agnostic, nc=pair.class_num, rotated=pair.task == 'obb',
            end2end=pair.one_to_one, max_time_img=60, **options)[0].float()

    def masks(self, rows, raw=None):
        """Return upstream's masks at the input's resolution, bool (n, H, W)."""
        prototypes = torch.from_numpy((raw or self.raw)[PROTOTYPES])
        return ops.process_mask(prototypes, rows[:, 6:], rows[:, :4], self.input_hw,
                                upsample=True).numpy().astype(bool)

    def native_masks(self, rows, source_hw):
        """Return upstream's masks at the source image's resolution, bool (n, h, w)."""
        boxes = ops.scale_boxes(self.input_hw, rows[:, :4].clone(), source_hw)
        return ops.process_mask_native(torch.from_numpy(self.raw[PROTOTYPES]), rows[:, 6:],
                                       boxes, source_hw).numpy().astype(bool)

    def _outputs(self):
        found = {}
        handles = [module.register_forward_hook(
            lambda _, __, output, place=place: found.update({place: output[0].clone().numpy()}))
            for place, module in self._convolutions.items()]
        self._head(list(self._features))
        for handle in handles:
            handle.remove()
        return found

    @contextmanager
    def _replaced(self, raw):
        handles = [self._convolutions[place].register_forward_hook(
            lambda *_, values=values: torch.from_numpy(values)[None])
            for place, values in raw.items()]
        yield
        for handle in handles:
            handle.remove()

    def _spread(self, candidates):
        """Give every last convolution's outputs a spread, and the class heads a bias."""
        raw = self._outputs()
        best = []
        for place, module in self._convolutions.items():
            if place == PROTOTYPES:
                continue
            conv = module if isinstance(module, nn.Conv2d) else module[-1]
            values = torch.from_numpy(raw[place])
            spread, centres = self._wanted(place[0], len(values))
            means = values.mean((1, 2))
            centred = values - means[:, None, None]
            gain = spread / centred.std()
            conv.weight *= gain
            conv.bias[:] = centres - gain * (means - conv.bias)
            if place[0] == 'class':
                best.append((gain * centred).amax(0).flatten())
        # Half way between two anchor points, so that no rounding moves one over the threshold.
        ranked = torch.cat(best).sort(descending=True).values
        middle = (ranked[candidates - 1] + ranked[candidates]) / 2
        threshold = torch.logit(torch.tensor(SCORE_THRESHOLD))
        for (role, _), module in self._convolutions.items():
            if role == 'class':
                module[-1].bias += threshold - middle

    def _wanted(self, role, channels):
        """Return the deviation of a role's outputs, and the mean of each of its channels."""
        if role == 'box' and self.pair.reg_max > 1:
            bins = torch.arange(channels) % self.pair.reg_max
            return 1.5, -((bins - 3) / 3.0) ** 2
        if role == 'box':
            # Cells from the centre to a side: far enough that no box has its sides crossed.
            return 0.5, torch.full((channels,), 3.0)
        spread = {'class': 1.5, 'segment': 0.5, 'pose': 2.0, 'obb': 1.5}
        return spread[role if role == 'class' else self.pair.task], torch.zeros(channels)


@cache
def random_model(pair, input_hw, candidates=CANDIDATES):
    """Return a pair's RandomModel; made once."""
    return RandomModel(pair, input_hw, candidates)


@cache
def classifier(pair, input_hw):
    """Return upstream's logits and probabilities of one picture, float32 (classes,) each."""
    with torch.no_grad(), torch.random.fork_rng():
        body = _model(pair)
        torch.manual_seed(zlib.crc32(f'{pair} {input_hw}'.encode()))
        probabilities, logits = body(_picture(input_hw))
        # Random weights leave the logits of all classes near one another.
        body.model[-1].linear.weight *= 2 / logits.std()
        probabilities, logits = body(_picture(input_hw))
    return logits[0].numpy(), probabilities[0].numpy()


@lru_cache(maxsize=1)
def _model(pair):
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(zlib.crc32(str(pair).encode()))
        more = {'data_kpt_shape': pair.kpt_shape} if pair.task == 'pose' else {}
        body = MODELS[pair.task](f'{pair.model}.yaml', nc=pair.class_num, verbose=False, **more)
        for module in body.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.normal_(module.bias, 0, 0.3)
                module.momentum = 1.0  # the statistics become those of the one picture
        body.train()
        body(torch.cat([_picture((256, 320)) for _ in range(2)]))
    return body.eval()


def _convolutions(head, pair):
    """Return {(role, stride): module}, the modules whose outputs a board's model would have."""
    branch = head.one2one if pair.one_to_one else head.one2many
    modules = {'box': branch['box_head'], 'class': branch['cls_head']}
    for name in EXTRA_HEADS.get(pair.task, ()):
        if name in branch:
            modules['extra'] = branch[name]
            break
    found = {(role, int(stride)): module for role, one in modules.items()
             for stride, module in zip(head.stride, one)}
    if pair.task == 'segment':
        found[PROTOTYPES] = head.proto
    return found


def _features(body, picture):
    """Return what the head gets."""
    taken = []
    handle = body.model[-1].register_forward_pre_hook(lambda _, inputs: taken.extend(inputs[0]))
    body(picture)
    handle.remove()
    return [feature.clone() for feature in taken]


def _picture(input_hw):
    """Return random soft shapes, float32 (1, 3, h, w) from 0 to 1."""
    coarse = nn.functional.interpolate(torch.rand(1, 3, 6, 8), input_hw, mode='bicubic')
    fine = nn.functional.interpolate(torch.rand(1, 3, 30, 40), input_hw, mode='bilinear')
    return (0.7 * coarse + 0.3 * fine).clamp(0, 1)
