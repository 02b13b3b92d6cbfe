"""docs/scale.md: what is computed from the unit costs that benchmarks/scale.py and the others measure."""
