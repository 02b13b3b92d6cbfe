"""The pages that benchmarks/page.py measures: ours, and the same model in others' runtimes."""
