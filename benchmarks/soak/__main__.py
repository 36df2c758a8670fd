"""
The soak: `python3 -m benchmarks.soak`, or `make soak`.

Runs source and YOLO node at 1920x1080, 30 Hz, and prints whether memory, latency, threads or
descriptors grow; the exit code is 1 where they do. The record goes to bench_out/soak/ while the
run lasts: after Ctrl-C what there is is judged, and --record does so with what a kill left.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import signal
import sys

from benchmarks.soak.figures import figures
from benchmarks.soak.page import summary, verdict, write_page
from benchmarks.soak.plot import draw
from benchmarks.soak.record import read_record
from benchmarks.soak.run import ROOT, run
from benchmarks.timing import machine

_OUT = ROOT / 'bench_out' / 'soak'


def main() -> int:
    """Run, or read a record; print the figures; return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n\n')[1])
    parser.add_argument('--minutes', type=float, default=10.0, help='how long to run')
    parser.add_argument('--task', choices=('detect', 'pose', 'segment'), default='detect')
    parser.add_argument('--width', type=int, default=1920)
    parser.add_argument('--height', type=int, default=1080)
    parser.add_argument('--rate', type=float, default=30.0, help='images a second')
    parser.add_argument('--out', type=Path, default=_OUT, help='folder of the record')
    parser.add_argument('--record', action='store_true',
                        help='judge the record in that folder instead of running')
    parser.add_argument('--write', action='store_true', help='put page and picture into docs/')
    arguments = parser.parse_args()
    ended = ''
    if not arguments.record:
        # As Ctrl-C: the nodes end with the run.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        print(f'soak ({machine()}): source and yolo ({arguments.task}), {arguments.width}x'
              f'{arguments.height} at {arguments.rate:g} Hz, {arguments.minutes:g} minutes',
              flush=True)
        ended = run(arguments.minutes, arguments.task, arguments.width, arguments.height,
                    arguments.rate, arguments.out, lambda text: print(text, flush=True))
    try:
        samples, minutes, facts = read_record(arguments.out)
        found = figures(samples, minutes)
    except (OSError, ValueError) as error:
        print(f'soak: {error}', file=sys.stderr)
        return 1
    if arguments.record and found.seconds < 0.99 * 60 * facts['minutes']:
        ended = f'{facts["minutes"]:g} minutes were wanted'
    for one in found.nodes:
        print('  {}: resident {:.2f} to {:.2f} MB, without shared memory {:.2f} to {:.2f} MB, '
              '{:+.3f} MB an hour (heap {:+.3f}); threads {} to {}, descriptors {} to {}; '
              '{:.2f} processors'.format(one.node, *one.resident_mb, *one.own_mb, one.slope,
                                         one.heap_slope, *one.threads, *one.descriptors,
                                         one.cpus))
    print('  ' + '\n  '.join(summary(found)))
    print(f'  {verdict(found)}')
    docs = ROOT / 'docs' if arguments.write else arguments.out
    draw(samples, minutes, found, docs / 'images' / 'soak.png')
    write_page(docs / 'soak.md', found, facts, ended)
    print(f'  {docs / "soak.md"}')
    if ended:
        print(f'  the run ended early: {ended}')
    return int(bool(found.missed or ended))


if __name__ == '__main__':
    raise SystemExit(main())
