"""What all benchmarks share: the result, the script that measures, the runner of all scripts, the page."""
