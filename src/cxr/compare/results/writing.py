"""All that a comparison leaves in its folder: the report, the numbers in three formats, and a card of each model."""

from __future__ import annotations

from cxr.compare.nouns import Comparison
from cxr.compare.report import write_report
from cxr.compare.results.document import write_results
from cxr.compare.results.earlier import earlier_run, remove_stale
from cxr.compare.results.model_card import write_model_cards
from cxr.compare.results.tables import csv_table, markdown_table
from cxr.files import write_text_atomically

CSV_FILE, MARKDOWN_FILE = "results.csv", "results.md"


def write_all(comparison: Comparison) -> None:
    """Write report.html, results.csv, results.md, model-cards/NAME/MODEL_CARD.md and, last, results.json. Cards and
    predictions that an earlier comparison left in the folder, of models that this one does not have, are removed."""
    earlier = earlier_run(comparison.results_path)
    write_report(comparison, comparison.report_path)
    write_text_atomically(comparison.output / CSV_FILE, csv_table(comparison))
    write_text_atomically(comparison.output / MARKDOWN_FILE, markdown_table(comparison))
    write_model_cards(comparison)
    remove_stale(earlier, comparison)
    write_results(comparison, comparison.results_path)
