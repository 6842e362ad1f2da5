"""The slow, obvious implementations that the benchmarks compare with."""
