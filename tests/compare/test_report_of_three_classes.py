"""With three classes every figure says whose it is, and nothing speaks of a threshold that does not decide."""

from __future__ import annotations

import csv
import io
import re

import numpy as np
import pytest

from cxr.compare.metrics.ranking import roc_auc
from cxr.compare.report import findings, render_report, words
from cxr.compare.report.class_table import MEAN_OF_CLASSES, class_blocks
from cxr.compare.results.model_card import model_card
from cxr.compare.results.tables import csv_table, markdown_table


@pytest.fixture(scope="module")
def page(three_classes) -> str:
    return render_report(three_classes)


def text_of(page: str) -> str:
    """The page's text in one line, without plots, style and script."""
    bare = re.sub(r"<(svg|style|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", bare).split())


def test_class_by_class_figures_are_those_of_one_class_against_the_rest(three_classes):
    blocks = class_blocks(three_classes)
    assert [block.name for block in blocks] == ["BACTERIAL", "NORMAL", "VIRAL", MEAN_OF_CLASSES]
    truth = three_classes.manifest.split("test")["label"].to_numpy()
    for block in blocks[:-1]:
        assert block.images == (truth == block.name).sum()
        for line in block.lines[: len(three_classes.models)]:
            probabilities = line.row.predictions.probabilities(three_classes.classes)
            called = np.array(three_classes.classes)[probabilities.argmax(axis=1)]
            both = ((called == block.name) & (truth == block.name)).sum()
            precision, recall, f1, auc, _ = (estimate.value for estimate in line.estimates)
            assert precision == pytest.approx(both / (called == block.name).sum())
            assert recall == pytest.approx(both / block.images)
            assert f1 == pytest.approx(2 * precision * recall / (precision + recall))
            own = probabilities[:, three_classes.classes.index(block.name)]
            assert auc == pytest.approx(roc_auc(truth == block.name, own))


def test_the_last_block_is_the_mean_of_the_others_where_there_is_one(three_classes):
    *blocks, means = class_blocks(three_classes)
    for number, mean in enumerate(means.lines):
        for measure, estimate in enumerate(mean.estimates):
            every = [block.lines[number].estimates[measure].value for block in blocks]
            assert (estimate is None) == (measure == 0)
            if estimate is not None:
                assert estimate.value == pytest.approx(np.mean(every))


def test_two_classes_have_no_such_table(comparison, drawn):
    assert class_blocks(comparison) == []
    assert 'id="classes"' not in render_report(comparison, drawn)
    assert "| class |" not in markdown_table(comparison)


def test_the_report_shows_every_class_with_its_interval(three_classes, page):
    (table,) = re.findall(r'<section id="classes">(.*?)</section>', page, re.DOTALL)
    assert re.findall(r'scope="rowgroup">([^<]*?) <', table) == ["BACTERIAL", "NORMAL", "VIRAL", MEAN_OF_CLASSES]
    shown = text_of(table)
    for row in three_classes.models:
        for report in row.per_class:
            assert words.area(report.recall) in shown
    assert '<a href="#classes">' in page


@pytest.mark.parametrize("said", ["own threshold", "Operating points", "Threshold", "the same thresholds"])
def test_no_threshold_is_spoken_of_as_if_it_decided(page, said):
    assert said not in text_of(page)


def test_it_is_said_how_an_image_is_called(page):
    text = text_of(page)
    assert "An image is called by its highest probability; no threshold decides." in text
    assert "explorer-panel" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)


def test_the_first_sentence_is_of_the_mean_and_the_next_of_the_positive_class(three_classes):
    first, second, third, *_ = words.summary(three_classes)
    best = max(three_classes.models, key=lambda row: row.metrics["auc"].value)
    mean, own = (best.metrics[name] for name in ("macro_auc", "auc"))
    assert f"each of the 3 classes against the rest, is on average {mean.value:.3f} (" in first
    assert second.startswith(f"Of VIRAL against the rest it is {own.value:.3f} (")
    assert third.startswith(f"By the highest probability, {best.name} is right on ")
    assert all(f" of {name}" in third for name in three_classes.classes)


def test_verdict_floors_and_subgroups_say_whose_auc_they_are_of(three_classes, page):
    against = three_classes.against
    sentence = findings.verdict_sentence(against.models[0], against, three_classes)
    assert "the difference in AUC of VIRAL against the rest to careful net" in sentence
    assert sentence in text_of(page).replace("&#39;", "'")
    for said in findings.group_sentences(three_classes):
        assert "AUC of VIRAL against the rest" in said
    for row in three_classes.models:
        assert row.groups
        if row.floors_not_cleared:
            assert any(
                "of its AUC of VIRAL against the rest" in alert for alert in findings.alerts_about(row, three_classes)
            )


def test_the_reference_section_says_of_which_class_its_measure_is(page):
    text = text_of(re.search(r'<section id="reference">(.*?)</section>', page, re.DOTALL)[1])
    assert "The verdict is by the interval of the difference in AUC of VIRAL against the rest" in text
    assert "Model Difference in AUC of VIRAL against the rest" in text


def test_subgroups_are_of_the_positive_class_against_the_rest(three_classes):
    row = three_classes.models[0]
    rows = three_classes.manifest.split("test")
    positive = (rows["label"] == "VIRAL").to_numpy()
    probabilities = row.predictions.probabilities(three_classes.classes)
    called = np.array(three_classes.classes)[probabilities.argmax(axis=1)] == "VIRAL"
    own = probabilities[:, three_classes.classes.index("VIRAL")]
    for result in row.groups:
        inside = result.group.inside
        assert not inside.all()
        assert result.auc.value == pytest.approx(roc_auc(positive[inside], own[inside]), nan_ok=True)
        assert result.sensitivity.value == pytest.approx(called[inside & positive].mean())
        assert result.specificity.value == pytest.approx((~called[inside & ~positive]).mean())


def test_the_csv_has_each_class_and_no_threshold(three_classes):
    for row, line in zip(three_classes.rows, csv.DictReader(io.StringIO(csv_table(three_classes))), strict=True):
        assert line["positive_class"] == "VIRAL"
        assert line["threshold"] == ""
        for report in row.per_class:
            assert int(line[f"images_of_{report.label}"]) == report.support
            found = [float(line[f"f1_of_{report.label}{end}"]) for end in ("", "_low", "_high")]
            assert found == pytest.approx([report.f1.value, report.f1.low, report.f1.high], rel=1e-6)
        assert float(line["macro_f1"]) == pytest.approx(row.metrics["macro_f1"].value, rel=1e-6)


def test_the_markdown_has_a_second_table_of_classes(three_classes):
    first, second, said, *_ = markdown_table(three_classes).split("\n\n")
    assert "AUC of VIRAL against the rest" in first
    assert len(second.splitlines()) == 2 + 4 * len(three_classes.rows)
    assert "those of VIRAL against the rest" in said
    assert "no threshold decides" in said


def test_the_cards_front_matter_names_its_means_as_such(three_classes):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    row = three_classes.models[1]
    text = model_card(row, three_classes)
    (result,) = yaml.safe_load(text.split("---\n")[1])["model-index"][0]["results"]
    figures = {metric["type"]: metric for metric in result["metrics"]}
    for hub_name, measure in (("roc_auc", "macro_auc"), ("f1", "macro_f1"), ("recall", "balanced_accuracy")):
        assert figures[hub_name]["value"] == pytest.approx(row.metrics[measure].value, abs=1e-6)
        assert figures[hub_name]["name"].startswith("macro ")
        assert figures[hub_name]["args"] == {"average": "macro"}
    assert set(figures) == {"accuracy", "roc_auc", "f1", "recall"}
    for report in row.per_class:
        assert f"| {report.label} | {report.support:,} | {words.area(report.precision)} |" in text
    assert "own threshold" not in text
    assert "- Decision: the class of the highest probability" in text
