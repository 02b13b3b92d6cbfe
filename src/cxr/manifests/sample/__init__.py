"""Synthetic radiographs for demos and tests: drawn, not taken; no patient stands behind them."""

from cxr.manifests.sample.draw import draw_sample

__all__ = ["draw_sample"]
