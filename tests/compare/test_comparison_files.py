"""What lies beside the report: CSV, Markdown, and a card of each model, as their readers read them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import pytest
from scipy.stats import binomtest

from cxr.compare.results.model_card import model_card
from cxr.compare.results.tables import markdown_table


@pytest.fixture(scope="module")
def lines(comparison):
    text = (comparison.output / "results.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_has_a_line_for_each_row_with_every_figure(comparison, lines):
    assert [line["name"] for line in lines] == [row.name for row in comparison.rows]
    for row, line in zip(comparison.rows, lines, strict=True):
        for name in ("accuracy", "auc", "brier"):
            estimate = row.metrics[name]
            found = [float(line[name]), float(line[f"{name}_low"]), float(line[f"{name}_high"])]
            assert found == pytest.approx([estimate.value, estimate.low, estimate.high], rel=1e-6)
        assert line["manifest_hash"] == comparison.manifest.hash
        assert line["bundle_hash"] == (row.bundle.hash if row.bundle else "")
        assert line["stand_in"] == str(row.stand_in).lower()


def test_the_csv_has_the_differences_to_the_reference_and_none_for_itself(comparison, lines):
    against = {model.name: model for model in comparison.against.models}
    for line in lines:
        model = against.get(line["name"])
        assert line["verdict"] == (model.verdict.value if model else "")
        if model:
            assert float(line["difference_auc"]) == pytest.approx(model.differences["auc", ""].value, rel=1e-6)
        else:
            assert line["difference_auc"] == ""


def test_the_csv_has_exact_intervals_of_shares(comparison, lines):
    for row, line in zip(comparison.rows, lines, strict=True):
        (_, false), (missed, found) = row.confusion
        for name, count, of in (("sensitivity", found, missed + found), ("ppv", found, false + found)):
            exact = binomtest(int(count), int(of)).proportion_ci(0.95, "exact")
            assert float(line[f"{name}_exact_low"]) == pytest.approx(exact.low, rel=1e-6)
            assert float(line[f"{name}_exact_high"]) == pytest.approx(exact.high, rel=1e-6)
        assert "auc_exact_low" not in line
        assert (line["positive_class"], line["verdict_measure"], line["margin"]) == ("PNEUMONIA", "auc", "0.02")


def test_markdown_and_cards_name_measure_margin_positive_class_and_what_is_left_out(comparison):
    notes = ("this floor is not laid: byte count: the sizes of some files are not known",)
    made = replace(comparison, notes=notes, against=replace(comparison.against, measure="f1", margin=0.035))
    for text in (markdown_table(made), *(model_card(row, made) for row in made.models)):
        assert "differences in F1, margin 0.035" in text
        assert "PNEUMONIA is positive" in text
        assert "This floor is not laid: byte count: the sizes of some files are not known." in text
    reference = next(row for row in made.models if row.name == made.against.name)
    assert "The other models of the comparison are held against this one." in model_card(reference, made)


def test_a_card_has_the_exact_intervals_beside_the_others(comparison):
    row = comparison.models[0]
    low, high = row.points[0].proportions["specificity"].exact
    line = re.search(r"\| specificity \|.*", model_card(row, comparison))[0]
    assert line.endswith(f"| {low:.3f} to {high:.3f} |")


def test_the_markdown_is_one_table_with_what_has_to_be_said(comparison):
    text = (comparison.output / "results.md").read_text(encoding="utf-8")
    table, words = text.split("\n\n", 1)
    cells = [line.strip("|").split("|") for line in table.splitlines()]
    assert len({len(line) for line in cells}) == 1
    assert len(cells) == 2 + len(comparison.rows)
    assert cells[0][0].strip() == "model"
    assert "Research use, not a medical device" in words
    assert "emulator's stand-in" in words


@pytest.fixture(scope="module", params=[0, 1, 2], ids=["keras", "saved-model", "stand-in"])
def card(request, comparison):
    """A model's row and the text of its card."""
    row = comparison.models[request.param]
    folder = comparison.output / "model-cards" / row.name.replace(" ", "-")
    return row, (folder / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_cards_front_matter_is_yaml_with_the_figures_in_a_model_index(card, comparison):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    row, text = card
    _, front, _ = text.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["pipeline_tag"] == "image-classification"
    assert "research-use-only" in metadata["tags"]
    assert ("emulator-stand-in" in metadata["tags"]) == row.stand_in
    (model,) = metadata["model-index"]
    assert model["name"] == row.name
    (result,) = model["results"]
    assert result["task"]["type"] == "image-classification"
    assert result["dataset"]["revision"] == comparison.manifest.hash
    assert {"name", "type"} <= set(result["dataset"])
    figures = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert figures["accuracy"] == pytest.approx(row.metrics["accuracy"].value, abs=1e-6)
    assert figures["roc_auc"] == pytest.approx(row.metrics["auc"].value, abs=1e-6)
    assert figures["recall"] == pytest.approx(row.metrics["sensitivity"].value, abs=1e-6)


def test_a_card_says_what_the_model_is_for_what_it_was_judged_on_and_what_it_is_not(card, comparison):
    row, text = card
    sections = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert sections == [
        "Intended use", "Data and split", "The model", "Metrics", "Limits", "Where the figures come from",
    ]  # fmt: skip
    assert "Research use, not a medical device" in text.split("## ")[0]
    assert "Not for diagnosis" in text
    assert row.bundle.hash in text
    opening, metrics = text.split("## ")[0], text.split("## Metrics")[1]
    assert ("not by a cloud's AutoML service" in opening) == row.stand_in
    assert ("to automl edge (emulator stand-in), " in metrics) == (not row.stand_in)
    assert ("automl edge was trained by the emulator's stand-in" in metrics) == (not row.stand_in)
    assert f"| AUC | {row.metrics['auc'].value:.3f} |" in text


def test_results_json_names_floors_subgroups_effort_and_overlap(comparison):
    import json

    document = json.loads(comparison.results_path.read_text(encoding="utf-8"))
    assert document["overlap"] == {"split": "test", "images": 0, "patients": 0, "examples": []}
    for row, written in zip(comparison.rows, document["rows"], strict=True):
        assert written["floors_not_cleared"] == list(row.floors_not_cleared)
        assert len(written["subgroups"]) == len(row.groups)
        assert (written["effort"] is None) == (row.bundle is None)
    stand_in = document["rows"][2]
    assert [mistake["path"] for mistake in stand_in["surest_mistakes"]] == [
        mistake.path for mistake in comparison.mistakes[2].shown
    ]
