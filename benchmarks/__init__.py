"""The benchmarks (``vitalstream bench``) and the peers that they compare with; see README.md."""
