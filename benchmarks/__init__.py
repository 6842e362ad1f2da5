"""What the library costs, as ratios to plain references measured in the same run: `python -m benchmarks`."""
