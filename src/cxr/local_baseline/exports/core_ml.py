"""Core ML: an image classifier that apps call with a picture of the model's size. It is converted here and runs on
Apple's systems only."""

from __future__ import annotations

from pathlib import Path

from cxr.local_baseline.exports.nouns import Shipment
from cxr.version import __version__


def export(shipment: Shipment, path: Path) -> None:
    """An ML program (iOS 15, macOS 12) in float32: `image`, a grey or RGB picture of the contract's height and width ->
    `classLabel`, and the probability of each label. Preprocessing is the caller's: a picture of another size would be
    resized by the system, otherwise than the contract says."""
    import coremltools

    contract = shipment.contract
    layout = coremltools.colorlayout.GRAYSCALE if contract.channels == 1 else coremltools.colorlayout.RGB
    shape = (1, contract.height, contract.width, contract.channels)
    model = coremltools.convert(
        shipment.model,
        source="tensorflow",
        inputs=[coremltools.ImageType(name="image", shape=shape, color_layout=layout)],
        classifier_config=coremltools.ClassifierConfig(list(shipment.labels)),
        convert_to="mlprogram",
        compute_precision=coremltools.precision.FLOAT32,
        minimum_deployment_target=coremltools.target.iOS15,
        skip_model_load=True,
    )
    model.short_description = shipment.description
    model.version = __version__
    model.save(str(path))
