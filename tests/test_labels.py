"""Which class is the positive one."""

from __future__ import annotations

import pytest

from cxr.labels import positive_class


@pytest.mark.parametrize(
    ("classes", "positive"),
    [
        (("NORMAL", "PNEUMONIA"), "PNEUMONIA"),
        (("Pneumonia", "normal"), "Pneumonia"),
        (("COVID", "NORMAL"), "COVID"),
        (("No_Finding", "Effusion"), "Effusion"),
        (("a", "b"), "b"),
        (("BACTERIAL", "NORMAL", "VIRAL"), "VIRAL"),
        (("healthy", "normal"), "normal"),
    ],
)
def test_the_positive_class_is_the_finding(classes: tuple[str, ...], positive: str) -> None:
    assert positive_class(classes) == positive
