"""What the benchmarks share: timing processes and stages side by side."""
