"""A small anchor-free network with the tensors of the boards' YOLO models.

Strides 8, 16 and 32; a DFL box head with 16 bins, class logits, key points, mask coefficients,
and prototypes at stride 4. Written for this project; the building blocks are those of the
literature: cross-stage partial blocks (Wang et al. 2019), spatial pyramid pooling (He et al.
2014), path aggregation (Liu et al. 2018), distribution focal loss (Li et al. 2020), YOLACT's
prototypes (Bolya et al. 2019).
"""

import math

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)
REG_MAX = 16
NUM_CLASSES = 4
NUM_KEYPOINTS = 17
NUM_COEFFICIENTS = 32


class Conv(nn.Module):
    """Convolution without bias, batch norm, SiLU (`cheap`: ReLU)."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1,
                 groups: int = 1, cheap: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(c_out, eps=1e-3, momentum=0.03)
        self.act = nn.ReLU(inplace=True) if cheap else nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) features."""
        return self.act(self.norm(self.conv(x)))


class PartialBlock(nn.Module):
    """Half of the channels take residual bottlenecks; all intermediate results are joined."""

    def __init__(self, c_in: int, c_out: int, shortcut: bool = True, depth: int = 1,
                 cheap: bool = False) -> None:
        super().__init__()
        half = c_out // 2
        self.enter = Conv(c_in, 2 * half, cheap=cheap)
        self.steps = nn.ModuleList(
            nn.Sequential(Conv(half, half, 3, cheap=cheap), Conv(half, half, 3, cheap=cheap))
            for _ in range(depth))
        self.leave = Conv((2 + depth) * half, c_out, cheap=cheap)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) features."""
        parts = list(self.enter(x).chunk(2, 1))
        for step in self.steps:
            new = step(parts[-1])
            parts.append(new + parts[-1] if self.shortcut else new)
        return self.leave(torch.cat(parts, 1))


class PyramidPool(nn.Module):
    """Three maximum poolings in a row, joined: a wide view at the price of none."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = Conv(channels, channels // 2)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.leave = Conv(channels // 2 * 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) features."""
        parts = [self.enter(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.leave(torch.cat(parts, 1))


def _spread(channels: int) -> list[nn.Module]:
    """Look around in each channel: two depthwise 3x3, which train far faster than one 5x5."""
    return [nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            Conv(channels, channels, 3, groups=channels)]


def _tower(c_in: int, width: int, c_out: int, wide: bool = False) -> nn.Sequential:
    """Depthwise, pointwise, 3x3, prediction: for what has to be located.

    `wide` also looks around after it has mixed: hands are far from the cell.
    """
    return nn.Sequential(*_spread(c_in), Conv(c_in, width), *(_spread(width) if wide else ()),
                         Conv(width, width, 3), nn.Conv2d(width, c_out, 1))


def _light_tower(c_in: int, width: int, c_out: int) -> nn.Sequential:
    """Two depthwise separable layers, prediction: for what has to be told apart."""
    return nn.Sequential(Conv(c_in, c_in, 3, groups=c_in), Conv(c_in, width),
                         Conv(width, width, 3, groups=width), Conv(width, width),
                         nn.Conv2d(width, c_out, 1))


class DemoNet(nn.Module):
    """All heads on one backbone; `forward` gives a dict of NCHW tensors by output name."""

    def __init__(self) -> None:
        super().__init__()
        w = (16, 24, 48, 80, 144)
        n = (48, 64, 128)
        # Width and depth are cheap where the image is small, and what frames a large person
        # happens there.
        self.stem = Conv(3, w[0], 3, 2, cheap=True)
        self.p2 = nn.Sequential(Conv(w[0], w[1], 3, 2, cheap=True),
                                PartialBlock(w[1], w[1], cheap=True))
        self.p3 = nn.Sequential(Conv(w[1], w[2], 3, 2), PartialBlock(w[2], w[2]))
        self.p4 = nn.Sequential(Conv(w[2], w[3], 3, 2), PartialBlock(w[3], w[3], depth=2))
        self.p5 = nn.Sequential(Conv(w[3], w[4], 3, 2), PartialBlock(w[4], w[4], depth=3),
                                PyramidPool(w[4]))
        self.up = nn.Upsample(scale_factor=2., mode='nearest')
        self.top4 = PartialBlock(w[4] + w[3], n[1], False, depth=2)
        self.top3 = PartialBlock(n[1] + w[2], n[0], False)
        self.down3, self.low4 = Conv(n[0], n[0], 3, 2), PartialBlock(n[0] + n[1], n[1], False, 2)
        self.down4, self.low5 = Conv(n[1], n[1], 3, 2), PartialBlock(n[1] + w[4], n[2], False, 2)
        self.cls = nn.ModuleList(_light_tower(c, 48, NUM_CLASSES) for c in n)
        self.box = nn.ModuleList(_tower(c, width, 4 * REG_MAX, stride > 8)
                                 for c, width, stride in zip(n, (40, 56, 80), STRIDES))
        self.kpt = nn.ModuleList(_tower(c, width, 3 * NUM_KEYPOINTS, True)
                                 for c, width in zip(n, (56, 64, 80)))
        self.coef = nn.ModuleList(_light_tower(c, 48, NUM_COEFFICIENTS) for c in n)
        self.proto_in = Conv(n[0], w[1])
        self.proto = nn.Sequential(Conv(2 * w[1], 32, 3, cheap=True),
                                   nn.Conv2d(32, NUM_COEFFICIENTS, 1))
        self._initialise()

    def _initialise(self) -> None:
        for stride, cls, box in zip(STRIDES, self.cls, self.box):
            # At the start about five cells of a 640x640 image should claim to hold something.
            nn.init.constant_(cls[-1].bias, math.log(5 / NUM_CLASSES / (640 / stride) ** 2))
            nn.init.constant_(box[-1].bias, 1.)

    def neck(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Features at stride 4, and at strides 8, 16, 32 after the path aggregation."""
        p2 = self.p2(self.stem(images))
        p3 = self.p3(p2)
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        t4 = self.top4(torch.cat((self.up(p5), p4), 1))
        t3 = self.top3(torch.cat((self.up(t4), p3), 1))
        l4 = self.low4(torch.cat((self.down3(t3), t4), 1))
        l5 = self.low5(torch.cat((self.down4(l4), p5), 1))
        return p2, [t3, l4, l5]

    def heads(self, kinds: tuple[str, ...], features: list[Tensor]) -> dict[str, Tensor]:
        """Return the outputs of some heads, named like `box_8`."""
        return {f'{kind}_{stride}': getattr(self, kind)[i](features[i])
                for kind in kinds for i, stride in enumerate(STRIDES)}

    def prototypes(self, p2: Tensor, features: list[Tensor]) -> Tensor:
        """(B, 32, H/4, W/4)."""
        return self.proto(torch.cat((p2, self.up(self.proto_in(features[0]))), 1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Return every output, (B, C, H/s, W/s), of RGB images (B, 3, H, W), 0 to 1."""
        p2, features = self.neck(images)
        outputs = self.heads(('cls', 'box', 'kpt', 'coef'), features)
        outputs['proto'] = self.prototypes(p2, features)
        return outputs


def output_names(task: str) -> list[str]:
    """Return a task's output names, in the order in which the boards' models have them."""
    if task == 'detect':
        return [f'{kind}_{s}' for s in STRIDES for kind in ('cls', 'box')]
    if task == 'segment':
        return [f'{kind}_{s}' for kind in ('coef', 'box', 'cls') for s in STRIDES] + ['proto']
    return ([f'{kind}_{s}' for s in STRIDES for kind in ('box', 'cls')]
            + [f'kpt_{s}' for s in STRIDES])


class TaskNet(nn.Module):
    """One task's part of a `DemoNet`, with NHWC outputs in the boards' order."""

    def __init__(self, net: DemoNet, task: str) -> None:
        super().__init__()
        self.net, self.task = net, task
        self.names = output_names(task)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the task's outputs, (B, H/s, W/s, C)."""
        p2, features = self.net.neck(images)
        kinds = tuple(sorted({name.split('_')[0] for name in self.names if '_' in name}))
        outputs = self.net.heads(kinds, features)
        if self.task == 'segment':
            outputs['proto'] = self.net.prototypes(p2, features)
        if self.task == 'pose':
            for stride in STRIDES:
                outputs[f'cls_{stride}'] = outputs[f'cls_{stride}'][:, :1]
        return tuple(outputs[name].permute(0, 2, 3, 1) for name in self.names)


def parameter_count(net: DemoNet, task: str) -> int:
    """Count the weights that a task's own graph holds."""
    unused = {'detect': ('kpt', 'coef', 'proto'), 'segment': ('kpt',),
              'pose': ('coef', 'proto')}[task]
    return sum(p.numel() for name, p in net.named_parameters()
               if not name.startswith(unused))
