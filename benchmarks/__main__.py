"""Every benchmark, one after the other: `make bench`."""

from benchmarks import kills, relay_latency, throughput

for benchmark in (relay_latency, throughput, kills):
    print(f"== {benchmark.__name__}")
    benchmark.main()
