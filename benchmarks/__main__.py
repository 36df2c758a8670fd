"""Run every benchmark: `python3 -m benchmarks`, or `make bench`."""

from benchmarks import decode, letterbox, node_memory

for benchmark in (letterbox, decode, node_memory):
    benchmark.main()
    print(flush=True)
