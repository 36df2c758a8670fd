"""
Decoding over the number of objects: `python3 -m benchmarks.decode_bench`, or `make bench-decode`.

Prints a line for each case and number of objects, every figure beside its bar; with --write, puts
table and picture into docs/.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import tempfile

from benchmarks.decode_bench.board import FLAGS, compile_loop
from benchmarks.decode_bench.cases import CASES, OBJECTS, measure
from benchmarks.decode_bench.page import write_page
from benchmarks.decode_bench.plot import draw
from benchmarks.decode_bench.table import HEADER, line
from benchmarks.timing import machine

DOCS = Path(__file__).parents[2] / 'docs'


def main() -> None:
    """Measure every case, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--case', action='append', choices=[case.name for case in CASES],
                        help='this one alone; may be repeated')
    parser.add_argument('--objects', type=int, action='append',
                        help='this number of objects alone; may be repeated')
    parser.add_argument('--write', action='store_true',
                        help='put table and picture into docs/; needs every case')
    arguments = parser.parse_args()
    if arguments.write and (arguments.case or arguments.objects):
        parser.error('--write needs every case: leave out --case and --objects')
    print(f'decode over objects ({machine()}; g++ {" ".join(FLAGS[1:3])})')
    print(HEADER)
    measured = []
    with tempfile.TemporaryDirectory() as folder:
        library = compile_loop(Path(folder))
        for case in CASES:
            if arguments.case and case.name not in arguments.case:
                continue
            for objects in arguments.objects or OBJECTS:
                measured.append(measure(case, objects, library))
                print(line(measured[-1]), flush=True)
    missed = sum(bool(one.missed) for one in measured)
    print(f'{missed} of {len(measured)} lines miss a bar' if missed else 'every bar holds')
    if arguments.write:
        write_page(DOCS / 'decode_speed.md', measured, machine())
        draw(measured, DOCS / 'images' / 'decode_speed.png')


if __name__ == '__main__':
    main()
