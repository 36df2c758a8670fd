"""Run every benchmark: `python3 -m benchmarks`, or `make bench`."""

from benchmarks import conversion, decode, letterbox, node_memory

for benchmark in (letterbox, conversion, decode, node_memory):
    benchmark.main()
    print(flush=True)
