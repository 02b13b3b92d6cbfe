"""The data, understood, split and frozen."""
