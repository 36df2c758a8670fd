"""What limits the frame rate, by measurements on several numbers of slots; what to change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rdk_yolo_ros.cli.measuring import Measured

# Two measurements of the same thing differ by several percent.
_GAIN = 1.08
_BUSY_CPUS = 0.85
_BUSY_BPU = 85.0
# One Python process runs one thread of Python at a time; the rest is in numpy and OpenCV, which
# let others run, so that this share of a second is more than it can do for long.
_BUSY_PYTHON = 0.85
_CPU_STAGES = ('convert', 'letterbox', 'decode', 'publish')
_ADVICE = {
    'convert': 'have the camera publish NV12, raw: other encodings and JPEG are converted first',
    'letterbox': "have the camera or the image pipeline deliver the model's own size, or a "
                 'smaller one',
    'decode': 'raise score_threshold, lower nms_top_k and max_detections, or give only the '
              'classes that are needed',
    'publish': 'subscribe to fewer of the topics: what nobody listens to is not published',
}


@dataclass(frozen=True)
class Bottleneck:
    """
    What limits the frame rate.

    Attributes:
        name: 'network on the CPU', 'CPU', 'BPU', 'slots', 'Python', 'order' or 'none'.
        why: the figures that say so.
        advice: what to change, the most effective first.

    """

    name: str
    why: str
    advice: tuple[str, ...]


def find_bottleneck(runtime: str, measured: Sequence[Measured], cpus: int) -> Bottleneck:
    """
    Name the bottleneck.

    Args:
        runtime: the runtime's name.
        measured: one for each number of slots, at least one, ascending.
        cpus: how many CPUs the machine has.

    """
    best = max(measured, key=lambda one: one.fps)
    stages, latency = best.stages_ms, max(best.latency_ms['mean'], 1e-9)
    infer = stages.get('infer', 0.0)
    if runtime == 'onnx' and infer >= sum(stages.get(stage, 0.0) for stage in _CPU_STAGES):
        return Bottleneck(
            'network on the CPU', f'inference takes {infer:.1f} of {latency:.1f} ms, on the CPU',
            ('run the network on a BPU: a board, and the model compiled for it',
             'a smaller network, or a smaller input'))
    if best.cpus is not None and best.cpus >= _BUSY_CPUS * cpus:
        return Bottleneck('CPU', f'{best.cpus:.1f} of {cpus} CPUs are busy', (
            *_cpu_advice(stages), 'set the CPU governor to performance; end what else runs'))
    if best.bpu_use is not None and best.bpu_use >= _BUSY_BPU:
        return _bpu(f'the BPU is busy {best.bpu_use:.0f} % of the time', best)
    busy = sum(stages.get(stage, 0.0) for stage in _CPU_STAGES) / 1e3 * best.fps
    if busy >= _BUSY_PYTHON:
        return Bottleneck(
            'Python', f'converting, letterboxing and decoding take {busy:.2f} s of each second, '
            'and one Python process does little more than one at a time',
            (*_cpu_advice(stages), 'a second process for a second camera'))
    return _by_slots(measured, best)


def _by_slots(measured: Sequence[Measured], best: Measured) -> Bottleneck:
    """Judge by what more slots bring."""
    last = measured[-1]
    before = measured[-2] if len(measured) > 1 else None
    if before is None:
        return Bottleneck('none', f'only {last.slots} slot(s) were measured',
                          ('measure several: --slots 1 2 4',))
    if last is best and last.fps >= _GAIN * before.fps:
        return Bottleneck(
            'slots', f'{last.slots} slots bring {last.fps / before.fps - 1:.0%} more than '
            f'{before.slots}', (f'more slots: --slots {last.slots} {2 * last.slots}, then '
                                '`slots` of the node',))
    wait = best.stages_ms.get('wait', 0.0)
    infer = best.stages_ms.get('infer', 0.0)
    if wait > infer:
        return Bottleneck(
            'order', f'a frame waits {wait:.1f} ms for a place and for earlier frames, and is '
            f'inferred for {infer:.1f} ms', ('fewer slots: the same rate with less latency',))
    grown = infer / max(measured[0].stages_ms.get('infer', 0.0), 1e-9)
    if infer >= 0.5 * best.latency_ms['mean'] and (grown >= 1.2 or best.fps < _GAIN
                                                   * measured[0].fps):
        return _bpu(f'more slots than {best.slots} bring nothing, and inference takes '
                    f'{infer:.1f} of {best.latency_ms["mean"]:.1f} ms', best)
    return Bottleneck('none', 'no stage and no part of the machine stands out',
                      ('look at the largest stage first',))


def _bpu(why: str, best: Measured) -> Bottleneck:
    return Bottleneck('BPU', why, (
        'set its governor to performance, if `rdk-yolo doctor` says that it is not',
        f'{best.slots} slot(s) are enough; more only add latency',
        'a smaller network or a smaller input, or the compiler\'s optimization for speed'))


def _cpu_advice(stages: dict[str, float]) -> list[str]:
    ordered = sorted(_CPU_STAGES, key=lambda stage: -stages.get(stage, 0.0))
    total = sum(stages.get(stage, 0.0) for stage in _CPU_STAGES)
    return [f'{stage} ({stages[stage]:.1f} ms): {_ADVICE[stage]}' for stage in ordered
            if stages.get(stage, 0.0) >= 0.25 * total > 0]
