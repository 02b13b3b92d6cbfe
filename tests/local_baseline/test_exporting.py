"""Exports as bundles: planned, kept when up to date, written whole or not at all, and refused with a way out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.bundle import Bundle, ModelFormat, Origin, read_bundle, with_decision, write_bundle
from cxr.compare.predictors import open_predictor
from cxr.errors import InputError, UsageError
from cxr.local_baseline.exports.making import make_exports
from cxr.local_baseline.exports.plan import ExportRequest, plan_exports
from cxr.local_baseline.exports.registry import FORMATS, parse_formats
from cxr.local_baseline.exports.representative import representative_rows
from cxr.local_baseline.exports.source import check_exportable
from cxr.local_baseline.images.cache import images_root
from cxr.local_baseline.judging.operating_point import fit_temperature
from cxr.manifests.manifest import Manifest

COOL = fit_temperature(np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]), np.array([0, 1, 0]), "validation")


@pytest.fixture
def bundle(small_bundle: Bundle, tmp_path: Path) -> Bundle:
    """The small bundle with a temperature, at a place of its own."""
    folder = tmp_path / "runs" / "cnn5"
    folder.mkdir(parents=True)
    (folder / "model.keras").write_bytes(small_bundle.model_path.read_bytes())
    assert COOL is not None
    return write_bundle(folder, replace(small_bundle.info, calibration=COOL))


def request(bundle: Bundle, formats: str, manifest: Manifest | None = None, **changes: object) -> ExportRequest:
    output = bundle.folder.with_name("cnn5-exports")
    asked = ExportRequest(bundle, parse_formats(formats), output, bundle.folder.with_name("cache"), manifest)
    images = images_root(manifest) if manifest else ""
    return replace(asked, images=images, **changes)  # type: ignore[arg-type]


def make(asked: ExportRequest) -> dict[str, object]:
    exports = make_exports(asked, plan_exports(asked), lambda done, total, note: None)
    assert not [one.failure for one in exports if one.failure]
    return {one.format.name: one for one in exports}


@pytest.mark.slow
def test_exports_are_bundles_that_score_as_their_source(
    bundle: Bundle, small_manifest: Manifest, capfd: pytest.CaptureFixture[str]
) -> None:
    made = make(request(bundle, "saved-model,tflite,tflite-int8,onnx", small_manifest, representative=8))
    assert list(made) == ["saved-model", "tflite", "tflite-int8", "onnx"]
    assert capfd.readouterr() == ("", "")  # no converter talks
    contract = bundle.info.preprocessing
    shape = (4, contract.height, contract.width, contract.channels)
    pixels = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    wanted = open_predictor(bundle).predict(pixels)
    for name in ("saved-model", "tflite"):
        export = read_bundle(bundle.folder.with_name("cnn5-exports") / name)
        assert export.info.calibration == replace(bundle.info.calibration, inside_model=True)
        assert (export.info.threshold, export.info.manifest_hash) == (bundle.info.threshold, bundle.info.manifest_hash)
        assert export.info.provenance["exported_from"] == bundle.hash
        assert (export.folder / "labels.txt").read_text() == "NORMAL\nPNEUMONIA\n"
        np.testing.assert_allclose(open_predictor(export).predict(pixels), wanted, atol=1e-4)


def test_what_is_up_to_date_is_kept_and_what_is_not_is_made_anew(bundle: Bundle) -> None:
    asked = request(bundle, "tfjs-float16")
    make(asked)
    weights = next((asked.output / "tfjs-float16").rglob("*.bin"))
    written_at = weights.stat().st_mtime_ns
    assert plan_exports(asked)[0].kept is not None
    assert make(asked)["tfjs-float16"].kept  # type: ignore[attr-defined]
    assert weights.stat().st_mtime_ns == written_at
    assert plan_exports(replace(asked, fresh=True))[0].kept is None
    weights.write_bytes(b"damaged")
    assert plan_exports(asked)[0].kept is None
    make(asked)
    assert plan_exports(asked)[0].kept is not None
    again = with_decision(bundle, replace(bundle.info.threshold, value=0.123), None)
    assert plan_exports(replace(asked, bundle=again))[0].kept is None


def test_an_export_that_fails_leaves_nothing_and_does_not_stop_the_others(bundle: Bundle) -> None:
    asked = request(bundle, "tflite,tfjs")
    impossible = replace(FORMATS["tflite"], name="impossible", form="no such form")
    asked = replace(asked, formats=(impossible, FORMATS["tfjs"]))
    failed, made = make_exports(asked, plan_exports(asked), lambda done, total, note: None)
    assert failed.failure is not None
    assert "impossible" in failed.failure.message
    assert made.bundle is not None
    assert sorted(path.name for path in asked.output.iterdir()) == ["tfjs"]


def test_eight_bits_without_a_manifest_are_refused(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="tflite-int8, edgetpu"):
        plan_exports(request(bundle, "tflite,tflite-int8,edgetpu"))


def test_exports_do_not_go_into_the_bundle_itself(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="inside the bundle"):
        plan_exports(request(bundle, "tflite", output=bundle.folder / "exports"))


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"format": ModelFormat.PREDICTIONS}, "cxr compare"),
        ({"format": ModelFormat.TFLITE, "origin": Origin.AUTOML}, "cxr cloud export"),
        ({"format": ModelFormat.SAVED_MODEL, "origin": Origin.CUSTOM_JOB, "provenance": {"recipe": "cnn3"}}, "cnn3"),
        ({"format": ModelFormat.TFLITE, "provenance": {"exported_from": "a" * 64}}, "export already"),
    ],
    ids=["predictions", "automl", "custom job", "export"],
)
def test_bundles_without_a_keras_model_are_refused_with_what_is_possible(
    small_bundle: Bundle, changes: dict[str, object], hint: str
) -> None:
    other = Bundle(small_bundle.folder, replace(small_bundle.info, **changes))  # type: ignore[arg-type]
    with pytest.raises(InputError) as refused:
        check_exportable(other)
    assert hint in (refused.value.hint or "")


def test_representative_images_are_of_the_train_split_in_each_class_share(small_manifest: Manifest) -> None:
    rows = representative_rows(small_manifest, 10)
    drawn = small_manifest.frame.iloc[rows]
    assert (drawn["split"] == "train").all()
    assert drawn["label"].value_counts().to_dict() == {"NORMAL": 5, "PNEUMONIA": 5}
    assert rows.tolist() == representative_rows(small_manifest, 10).tolist()
    assert len(representative_rows(small_manifest, 1000)) == 24


def test_unknown_formats_are_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="no format 'tflight'; the formats are: saved-model, tflite"):
        parse_formats("tflite,tflight")
    assert [form.name for form in parse_formats(" tflite ,onnx,tflite")] == ["tflite", "onnx"]
    assert parse_formats("all") == tuple(FORMATS.values())
