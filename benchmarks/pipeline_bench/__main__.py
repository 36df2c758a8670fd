"""
The pipeline: `python3 -m benchmarks.pipeline_bench`, or `make bench-pipeline`.

Runs the YOLO node on stand-ins of libdnn and pyeasy_dnn that take 12.5 ms and two frames at once,
160 a second, on a camera of 200 frames a second, and prints every figure beside its bar and beside
the naive loop's.
"""

from __future__ import annotations

import argparse

from benchmarks.pipeline_bench.measure import Case, Measured, measure
from benchmarks.pipeline_bench.models import CONCURRENCY, LATENCY_S, LIMIT_HZ, PEOPLE, RUNTIMES
from benchmarks.timing import machine

_STAGES = ('wait', 'convert', 'slot wait', 'letterbox', 'infer', 'decode', 'turn', 'publish')
CASES = (
    Case('libdnn', 640, 480, rate_bar=0.95, latency_bar=0.045),
    Case('libdnn', 640, 480, naive=True),
    Case('libdnn', 1920, 1080, rate_bar=0.90, latency_bar=0.045),
    Case('libdnn', 1920, 1080, naive=True),
    Case('pyeasy_dnn', 640, 480, rate_bar=0.85, latency_bar=0.045),
    Case('pyeasy_dnn', 640, 480, naive=True),
    Case('pyeasy_dnn', 1920, 1080, rate_bar=0.85, latency_bar=0.045),
    Case('pyeasy_dnn', 1920, 1080, naive=True),
)


def main() -> int:
    """Measure the cases; the exit code is the number of those that miss a bar."""
    parser = argparse.ArgumentParser(
        description='The YOLO node at the pace of an accelerator, on stand-ins.')
    parser.add_argument('--runtime', choices=RUNTIMES, help='this one alone')
    parser.add_argument('--width', type=int, help='images of this width alone')
    parser.add_argument('--node', action='store_true', help='without the naive loop')
    parser.add_argument('--seconds', type=float, default=15.0, help='how long to count')
    parser.add_argument('--rate', type=float, default=200.0, help='images a second')
    parser.add_argument('--no-keypoints', action='store_true', help='nobody listens to them')
    parser.add_argument('--stages', action='store_true', help="the node's own figures, too")
    arguments = parser.parse_args()
    print(f'pipeline ({machine()}): a stand-in of {LATENCY_S * 1e3:g} ms on {CONCURRENCY} tasks, '
          f'{LIMIT_HZ:g} a second; {PEOPLE} people planted')
    missed = 0
    for case in CASES:
        if arguments.runtime not in (None, case.runtime) \
                or arguments.width not in (None, case.width) or (arguments.node and case.naive):
            continue
        measured = measure(case, arguments.seconds, arguments.rate, not arguments.no_keypoints)
        missed += bool(measured.missed)
        print(_line(measured), flush=True)
        if arguments.stages:
            print('    ' + '; '.join(
                f"{stage} {measured.stages.get(f'{stage} p50 (ms)', '-')} / "
                f"{measured.stages.get(f'{stage} p95 (ms)', '-')}" for stage in _STAGES) + ' ms',
                flush=True)
    print(f'{missed} case(s) miss a bar' if missed else 'every bar holds')
    return missed


def _line(measured: Measured) -> str:
    case = measured.case
    rate = f'{measured.results_hz:5.1f} results a second, {measured.part:6.1%} of {LIMIT_HZ:g}'
    if case.rate_bar is not None:
        rate += f' (bar {case.rate_bar:.0%}: {_word(measured, "rate")})'
    latency = (f'{_median_ms(measured):5.1f} / {measured.p95 * 1e3:5.1f} ms p50 / p95 from stamp '
               'to receipt')
    if case.latency_bar is not None:
        latency += f' (bar {case.latency_bar * 1e3:g} ms: {_word(measured, "latency")})'
    people = f' (MISSED: {measured.objects} people found)' if 'people' in measured.missed else ''
    return (f'  {case.name}: {rate}; {latency}; {measured.cpu_s * 1e3:.1f} ms CPU a frame; camera '
            f'{measured.camera_hz:.1f} Hz{people}')


def _median_ms(measured: Measured) -> float:
    ordered = sorted(measured.latencies)
    return float(ordered[len(ordered) // 2]) * 1e3


def _word(measured: Measured, bar: str) -> str:
    return 'MISSED' if bar in measured.missed else 'holds'


if __name__ == '__main__':
    raise SystemExit(main())
