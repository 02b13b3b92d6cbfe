"""What the benchmarks of training and prediction are held against, and how two sides take turns."""
