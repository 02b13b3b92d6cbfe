"""How each kind of bundle is scored: images in, class probabilities out."""

from cxr.compare.predictors.base import Predictor
from cxr.compare.predictors.latency import measure_latency_ms
from cxr.compare.predictors.registry import PREDICTORS, open_predictor

__all__ = ["PREDICTORS", "Predictor", "measure_latency_ms", "open_predictor"]
