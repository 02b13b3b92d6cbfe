"""What measures are called in one comparison: with more than two classes, whose they are is always said."""

from __future__ import annotations

from cxr.compare.nouns import Comparison
from cxr.compare.titles import TITLES

#: Measures of the positive class against all others; the rest are of all classes.
OF_THE_POSITIVE_CLASS = frozenset(
    {"sensitivity", "specificity", "ppv", "npv", "f1", "auc", "average_precision", "ppv_at_prevalence",
     "npv_at_prevalence"}
)  # fmt: skip
AT_PREVALENCE = "_at_prevalence"


def has_many_classes(comparison: Comparison) -> bool:
    """Whether there are more than two classes, so that the most probable one is called and no threshold decides."""
    return len(comparison.classes) > 2


def title(measure: str, comparison: Comparison) -> str:
    """The measure's name; with more than two classes "AUC of VIRAL against the rest" for what is of one class."""
    name = TITLES[measure.removesuffix(AT_PREVALENCE)]
    whose = f" of {against_the_rest(comparison)}" if has_many_classes(comparison) else ""
    return f"{name}{whose}" if measure in OF_THE_POSITIVE_CLASS else name


def heading(measure: str, comparison: Comparison) -> str:
    """The title with a capital, for heads of columns and plots."""
    said = title(measure, comparison)
    return said[:1].upper() + said[1:]


def against_the_rest(comparison: Comparison) -> str:
    """The positive class, and with more than two classes what it is told apart from."""
    many = has_many_classes(comparison)
    return f"{comparison.positive_class} against the rest" if many else comparison.positive_class


def shown_measures(comparison: Comparison) -> tuple[str, ...]:
    """What the first table shows: of two classes what a threshold decides and the AUC, of more the means of the classes
    before the positive class's own."""
    if has_many_classes(comparison):
        return ("accuracy", "macro_f1", "macro_auc", "auc")
    return ("accuracy", "sensitivity", "specificity", "auc")
