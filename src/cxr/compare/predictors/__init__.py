"""How each kind of bundle is scored: images in, class probabilities out."""

from cxr.compare.predictors.base import Predictor
from cxr.compare.predictors.latency import Latency, measure_latency, measure_latency_ms
from cxr.compare.predictors.registry import PREDICTORS, open_predictor, open_tried

__all__ = [
    "PREDICTORS",
    "Latency",
    "Predictor",
    "measure_latency",
    "measure_latency_ms",
    "open_predictor",
    "open_tried",
]
