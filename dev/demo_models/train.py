"""Trains the demo network from scratch on rendered scenes, for a given time.

The schedule goes by time spent training, not by steps: throughput varies by a factor of two on
shared machines. `--resume` continues from the checkpoint; the time already spent counts.
"""

import argparse
import copy
import os
from pathlib import Path
import signal
import sys
import time

import numpy as np
import torch
import torch.distributed as dist

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from losses import compute_losses  # noqa: E402
from muon import Muon  # noqa: E402
from network import DemoNet  # noqa: E402
from quick_check import quick_check  # noqa: E402
from scenes import FIRST_TRAINING_SEED, Sample, SampleCache, training_sample  # noqa: E402

# Share of the time at which a stage starts, image size, batch size.
STAGES = ((0., 288, 16), (0.12, 416, 12), (0.32, 640, 8))
FLAT_UNTIL = 0.35
"""Share of the time after which the learning rates fall linearly."""
MUON_RATE, ADAM_RATE = 2e-2, 2e-3
USES_PER_SAMPLE = 6
SETTLE_SEED, SETTLE_IMAGES = FIRST_TRAINING_SEED + 79_000_000, 200
FLIPPED = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def flip(sample: Sample) -> Sample:
    """Return the sample in a mirror; a person's left becomes its right."""
    size = sample.image.shape[1]
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = size - sample.boxes[:, [2, 0]]
    keypoints = sample.keypoints[:, FLIPPED].copy()
    keypoints[..., 0] = size - keypoints[..., 0]
    return Sample(sample.image[:, ::-1], boxes, sample.classes, keypoints, sample.areas,
                  sample.masks[..., ::-1])


def collate(samples: list[Sample], device: torch.device) -> dict:
    """Make samples one padded batch."""
    count, most = len(samples), max(max(len(s.classes) for s in samples), 1)
    boxes, valid = np.zeros((count, most, 4), np.float32), np.zeros((count, most), bool)
    classes, areas = np.zeros((count, most), np.int64), np.ones((count, most), np.float32)
    keypoints = np.zeros((count, most, 17, 3), np.float32)
    for i, s in enumerate(samples):
        n = len(s.classes)
        boxes[i, :n], classes[i, :n], valid[i, :n] = s.boxes, s.classes, True
        keypoints[i, :n], areas[i, :n] = s.keypoints, s.areas
    images = torch.from_numpy(np.stack([s.image for s in samples])).to(device)
    batch = {name: torch.from_numpy(value).to(device) for name, value in (
        ('boxes', boxes), ('valid', valid), ('classes', classes), ('areas', areas),
        ('keypoints', keypoints))}
    batch['masks'] = [torch.from_numpy(s.masks.copy()).to(device) for s in samples]
    batch['images'] = images.permute(0, 3, 1, 2).float().div_(255)
    batch['size'] = samples[0].image.shape[0]
    return batch


@torch.no_grad()
def settle_statistics(net: DemoNet, device: torch.device) -> None:
    """Take the batch norms' statistics anew: averaged weights have other ones than each had."""
    norms = [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momentum = norms[0].momentum
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None   # the plain mean over all batches
    net.train()
    size = STAGES[-1][1]
    for first in range(SETTLE_SEED, SETTLE_SEED + SETTLE_IMAGES, 8):
        batch = collate([training_sample(seed, size) for seed in range(first, first + 8)], device)
        with torch.autocast(device.type, torch.bfloat16):
            net(batch['images'].contiguous(memory_format=torch.channels_last))
    for norm in norms:
        norm.momentum = momentum
    net.eval()


class Average:
    """Exponential moving average of all weights and batch norm statistics."""

    def __init__(self, net: DemoNet, decay: float = 0.998) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self._decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, net: DemoNet) -> None:
        """Move towards the network; faster at the start, when it still changes a lot."""
        self.updates += 1
        decay = min(self._decay, (1 + self.updates) / (10 + self.updates))
        for mine, other in zip(self.net.state_dict().values(), net.state_dict().values()):
            if mine.dtype.is_floating_point:
                mine.lerp_(other.detach(), 1 - decay)
            else:
                mine.copy_(other)


class Trainer:
    """Network, optimisers, average and clock: what a checkpoint holds."""

    def __init__(self, args: argparse.Namespace, rank: int = 0) -> None:
        self.args, self.rank = args, rank
        self.device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
        torch.manual_seed(args.seed)
        self.net = DemoNet().to(self.device).to(memory_format=torch.channels_last)
        self.average = Average(self.net)
        matrices, others = [], []
        for module in self.net.modules():
            for p in module.parameters(recurse=False):
                convolution = isinstance(module, torch.nn.Conv2d)
                use_muon = p.ndim == 4 and convolution and module.groups == 1 \
                    and module.bias is None
                (matrices if use_muon else others).append(p)
        self.optimisers = [Muon(matrices, lr=MUON_RATE),
                           torch.optim.AdamW(others, lr=ADAM_RATE, weight_decay=1e-4,
                                             betas=(0.9, 0.98))]
        self.spent, self.steps, self.images, self.rendered = 0., 0, 0, 0
        self.rng = np.random.default_rng((args.seed, rank))
        self._stopping = self._last = False

    @property
    def progress(self) -> float:
        """Share of the time that is spent."""
        return self.spent / (self.args.minutes * 60)

    def save(self) -> None:
        """Write the checkpoint; whatever happens meanwhile, one is always whole."""
        path = Path(self.args.checkpoint)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({'net': self.net.state_dict(), 'average': self.average.net.state_dict(),
                    'updates': self.average.updates,
                    'optimisers': [o.state_dict() for o in self.optimisers],
                    'spent': self.spent, 'steps': self.steps, 'images': self.images,
                    'rendered': self.rendered}, str(path) + '.new')
        os.replace(str(path) + '.new', path)

    def load(self) -> None:
        """Continue where the checkpoint was written."""
        state = torch.load(self.args.checkpoint, map_location=self.device)
        self.net.load_state_dict(state['net'])
        self.average.net.load_state_dict(state['average'])
        self.average.updates = state['updates']
        for optimiser, saved in zip(self.optimisers, state['optimisers']):
            optimiser.load_state_dict(saved)
        for name in ('spent', 'steps', 'images', 'rendered'):
            setattr(self, name, state[name])
        self.rng = np.random.default_rng((self.args.seed, self.rank, self.steps))

    def _set_rates(self) -> None:
        warm = min(1., (self.steps + 1) / 100)
        fall = min(1., (1 - self.progress) / (1 - FLAT_UNTIL))
        for optimiser, rate in zip(self.optimisers, (MUON_RATE, ADAM_RATE)):
            for group in optimiser.param_groups:
                group['lr'] = rate * warm * max(fall, 0.01)

    def step(self, samples: list[Sample]) -> dict[str, float]:
        """One update; returns the parts of the loss."""
        flips = self.rng.random(len(samples)) < 0.5
        batch = collate([flip(s) if f else s for s, f in zip(samples, flips)], self.device)
        self.net.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            outputs = self.net(batch['images'].contiguous(memory_format=torch.channels_last))
        parts = compute_losses(outputs, batch)
        loss = sum(parts.values())
        if not torch.isfinite(loss):
            raise FloatingPointError(f'loss is {loss} at step {self.steps}')
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._share_gradients()
        self._set_rates()
        torch.nn.utils.clip_grad_norm_(self.optimisers[1].param_groups[0]['params'], 10.)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.update(self.net)
        self.steps += 1
        self.images += len(samples) * self.args.processes
        return {name: float(value.detach()) for name, value in parts.items()}

    def _share_gradients(self) -> None:
        """Average the gradients, and let the first process tell the time and when to end."""
        self._last = self._stopping or self.progress >= 1
        if self.args.processes == 1:
            return
        weights = list(self.net.parameters())
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights]
        clock = torch.tensor([self.spent, float(self._last)], device=self.device)
        clock *= self.rank == 0
        flat = torch.cat([grad.flatten() for grad in grads] + [clock])
        dist.all_reduce(flat)
        *parts, clock = flat.split([p.numel() for p in weights] + [2])
        for p, part in zip(weights, parts):
            p.grad = part.view_as(p) / self.args.processes
        self.spent, self._last = float(clock[0]), bool(clock[1])

    def stage(self) -> int:
        """Return the index in `STAGES` that it is time for."""
        return max(i for i, (start, _, _) in enumerate(STAGES) if self.progress >= start)

    def run(self) -> None:
        """Train until the time is spent."""
        args, cache, current = self.args, None, -1
        saved, checked, logged = self.spent, self.spent, time.time()
        sums: dict[str, float] = {}
        steps_since, images_since = 0, 0
        # Ignoring the signal outright would be inherited by the renderers, and not end them.
        signal.signal(signal.SIGTERM, self._stop)
        while not self._last:
            started = time.time()
            if self.stage() != current:
                current = self.stage()
                _, size, batch = STAGES[current]
                if cache is not None:
                    cache.close()
                batch //= args.processes
                first = FIRST_TRAINING_SEED + 10_000_000 * (current + 4 * self.rank)
                cache = SampleCache(size, args.cache // args.processes, first + self.rendered,
                                    args.render_workers)
                cache.grow(args.prefill // args.processes)
                self.say(f'stage {current}: {size} px, batches of {batch} in each process')
            fresh = max(batch // USES_PER_SAMPLE, 1)
            parts = self.step(cache.take(batch, fresh, self.rng))
            self.rendered += fresh
            if self.rank:
                continue
            self.spent += time.time() - started
            for name, value in parts.items():
                sums[name] = sums.get(name, 0.) + value
            steps_since, images_since = steps_since + 1, \
                images_since + batch * args.processes
            if time.time() - logged > 20:
                rate = images_since / (time.time() - logged)
                text = ' '.join(f'{k} {v / steps_since:.3f}' for k, v in sums.items())
                print(f'{self.spent / 60:6.2f} min step {self.steps} images {self.images} '
                      f'{rate:.1f}/s | {text}', flush=True)
                sums, steps_since, images_since, logged = {}, 0, 0, time.time()
            if self.spent - saved > 60 * args.save_every:
                self.save()
                saved = self.spent
            if self.spent - checked > 60 * args.check_every:
                self.check(args.check_scenes)
                checked, logged = self.spent, time.time()
                sums, steps_since, images_since = {}, 0, 0
        if cache is not None:
            cache.close()
        if self.rank:
            return
        if not self._stopping:
            settle_statistics(self.average.net, self.device)
        self.save()
        if not self._stopping:
            self.check(args.check_scenes)

    def say(self, text: str) -> None:
        """Print a line, once for all processes."""
        if self.rank == 0:
            print(text, flush=True)

    def _stop(self, number: int, frame: object) -> None:
        # SIGTERM ends the training after this step, with a checkpoint.
        self._stopping = True

    def check(self, count: int) -> None:
        """Print how well the averaged weights do on some held-out scenes."""
        values = quick_check(self.average.net, range(count))
        print(f'== {self.spent / 60:.1f} min, {count} held-out scenes, mAP50-95: '
              + ' '.join(f'{k} {v:.3f}' for k, v in values.items()), flush=True)


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, default=90., help='training time')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--checkpoint', default='.train/demo.pt')
    parser.add_argument('--resume', action='store_true', help='continue from the checkpoint')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--cache', type=int, default=2500, help='samples kept in memory')
    parser.add_argument('--prefill', type=int, default=192, help='samples before a stage starts')
    parser.add_argument('--render-workers', type=int, default=1)
    parser.add_argument('--save-every', type=float, default=3., help='minutes')
    parser.add_argument('--check-every', type=float, default=9., help='minutes')
    parser.add_argument('--check-scenes', type=int, default=40)
    parser.add_argument('--processes', type=int, default=1,
                        help='share each batch; on a busy machine two processes of one thread '
                             'do more than one process of two, which wait for each other')
    args = parser.parse_args()
    if args.processes > 1:
        context = torch.multiprocessing.spawn(run_process, (args,), nprocs=args.processes,
                                              join=False)
        signal.signal(signal.SIGTERM, lambda number, frame: os.kill(context.pids()[0], number))
        while not context.join():
            pass
    else:
        run_process(0, args)


def run_process(rank: int, args: argparse.Namespace) -> None:
    """Train as process `rank` of `args.processes`."""
    torch.set_num_threads(max(args.threads // args.processes, 1))
    if args.processes > 1:
        meeting = Path(f'{args.checkpoint}.meet.{os.getppid()}').resolve()
        dist.init_process_group('gloo', f'file://{meeting}', rank=rank,
                                world_size=args.processes)
    trainer = Trainer(args, rank)
    if args.resume:
        trainer.load()
    parameters = sum(p.numel() for p in trainer.net.parameters())
    trainer.say(f'{parameters} parameters, {trainer.device}, {args.processes} processes')
    trainer.run()


if __name__ == '__main__':
    main()
