"""
What nodes spend beside inference: `python3 -m benchmarks.node_bench`, or `make bench-node`.

Prints every figure beside its bar and beside the plain way's, measured in the same run.
"""

from __future__ import annotations

import argparse

from benchmarks.node_bench.containers import (
    BAR,
    HEIGHT,
    PICTURES,
    RATE,
    ROUNDS,
    WAYS,
    WIDTH,
    measure_containers,
)
from benchmarks.node_bench.messages import measure_messages
from benchmarks.pipeline_bench.models import PEOPLE
from benchmarks.timing import machine


def main() -> int:
    """Measure; the exit code is the number of bars that are missed."""
    parser = argparse.ArgumentParser(description='What nodes spend beside inference.')
    parser.add_argument('--only', choices=('containers', 'messages'), help='this part alone')
    parser.add_argument('--rounds', type=int, default=ROUNDS,
                        help='how often three processes and one container are started')
    parser.add_argument('--pictures', type=int, default=PICTURES,
                        help='how many pictures are counted each time')
    arguments = parser.parse_args()
    print(f'nodes ({machine()})', flush=True)
    missed = 0
    if arguments.only != 'messages':
        missed += _containers(arguments.rounds, arguments.pictures)
    if arguments.only != 'containers':
        missed += _messages()
    print(f'{missed} bar(s) missed' if missed else 'every bar holds')
    return missed


def _containers(rounds: int, pictures: int) -> int:
    print(f'source, YOLO node and overlay, {WIDTH}x{HEIGHT} NV12 at {RATE:g} Hz, {PEOPLE} people '
          'with key points found\n'
          f'by a stand-in of libdnn and drawn; {rounds} x {pictures} pictures, NV12 of '
          f'{WIDTH * HEIGHT * 3 / 2e6:.1f} MB, received by another process:', flush=True)
    measured = measure_containers(rounds, pictures)
    for way in WAYS:
        print(f'  {way:15} {measured[way]}')
    ratio = measured[WAYS[1]].cpu_s / measured[WAYS[0]].cpu_s
    missed = ratio > BAR
    print(f'  ratio {ratio:.2f}  (bar {BAR:g}: {"MISSED" if missed else "holds"})', flush=True)
    return int(missed)


def _messages() -> int:
    print('results built field by field and published, and written as bytes and published:',
          flush=True)
    rows = measure_messages()
    for row in rows:
        print(f'  {row}')
    return sum(row.is_missed for row in rows)


if __name__ == '__main__':
    raise SystemExit(main())
