"""Intervals, paired tests and what they say of two models judged on the same images, one family a file."""
