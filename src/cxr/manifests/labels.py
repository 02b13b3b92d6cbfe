"""How Vertex AI spells labels: a letter, then letters, digits and underscores."""

from __future__ import annotations

import re
import unicodedata

#: ASCII only: the documents show nothing else.
_LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_legal_label(label: str) -> bool:
    """Whether Vertex AI takes this label."""
    return _LEGAL.fullmatch(label) is not None


def legal_label(label: str) -> str:
    """A spelling near to `label` that Vertex AI takes."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode("ascii")
    spelled = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    return spelled if spelled[:1].isalpha() else f"label_{spelled}".rstrip("_")
