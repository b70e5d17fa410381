"""The benchmarks: Sluice beside what else could load a log, measured in the same run."""
