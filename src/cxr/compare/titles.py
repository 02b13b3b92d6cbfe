"""What measures are called where people read them."""

from __future__ import annotations

from collections.abc import Mapping

#: Stands behind the name of what the emulator's stand-in trained, wherever that could be taken for the service.
STAND_IN = "(emulator stand-in)"
TITLES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "f1": "F1",
    "auc": "AUC",
    "average_precision": "average precision",
    "brier": "Brier score",
    "log_loss": "log loss",
    "calibration_error": "expected calibration error",
    "macro_auc": "AUC, mean of the classes",
    "macro_average_precision": "average precision, mean of the classes",
    "macro_f1": "F1, mean of the classes",
}
