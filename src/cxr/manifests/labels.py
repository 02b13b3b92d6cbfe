"""How a service spells labels, and the way back from its spelling to ours.

Google's: a letter, then letters, digits and underscores (shown by the Vertex AI documents, enforced on CSV imports); at
most 128 characters on Vertex AI (`AnnotationSpec.display_name` of its API), 32 on legacy AutoML (the same field there:
https://cloud.google.com/automl/docs/reference/rest/v1/projects.locations.datasets.annotationSpecs).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cxr.documents import parse_json
from cxr.errors import InputError
from cxr.files import write_text_atomically

VERTEX_MAX_LABEL: Final = 128
AUTOML_MAX_LABEL: Final = 32
#: The file beside the import files that tells which label a spelling stands for.
LABELS_SUFFIX: Final = ".labels.json"
_SCHEMA: Final = "cxr.labels"
_SCHEMA_VERSION: Final = 1
#: ASCII only: the documents show nothing else.
_LEGAL: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def is_legal_label(label: str, max_length: int = VERTEX_MAX_LABEL) -> bool:
    """Whether Vertex AI takes this label."""
    return len(label) <= max_length and _LEGAL.fullmatch(label) is not None


def legal_label(label: str, max_length: int = VERTEX_MAX_LABEL) -> str:
    """A spelling near to `label` that Vertex AI takes."""
    plain = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode("ascii")
    spelled = re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")
    spelled = spelled if spelled[:1].isalpha() else f"label_{spelled}"
    return spelled[:max_length].rstrip("_")


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """Labels of a manifest and how a service gets to see them; no two are spelled alike, in any case."""

    spellings: Mapping[str, str]

    @classmethod
    def as_is(cls, labels: Iterable[str]) -> LabelMapping:
        """Each label as it is."""
        return cls({label: label for label in sorted(set(labels))})

    @classmethod
    def legal(cls, labels: Iterable[str], max_length: int = VERTEX_MAX_LABEL) -> LabelMapping:
        """Legal spellings: a label that is legal and alone keeps its own, another one gets the nearest that is free.

        The same labels give the same spellings, in whatever order they come.
        """
        ordered = sorted(set(labels))
        spellings: dict[str, str] = {}
        taken: set[str] = set()
        # Those that may stay as they are first, so that nobody else is given their spelling.
        for label in ordered:
            if is_legal_label(label, max_length) and label.casefold() not in taken:
                spellings[label] = label
                taken.add(label.casefold())
        for label in ordered:
            if label in spellings:
                continue
            base, number = legal_label(label, max_length), 1
            spelling = base
            while spelling.casefold() in taken:
                number += 1
                spelling = f"{base[: max_length - len(f'_{number}')]}_{number}"
            spellings[label] = spelling
            taken.add(spelling.casefold())
        return cls(dict(sorted(spellings.items())))

    @classmethod
    def numbered(cls, labels: Iterable[str]) -> LabelMapping:
        """Class indices as text: 0, 1, … in the order of the sorted labels."""
        return cls({label: str(index) for index, label in enumerate(sorted(set(labels)))})

    @property
    def changed(self) -> dict[str, str]:
        """The labels whose spelling is another."""
        return {label: spelling for label, spelling in self.spellings.items() if label != spelling}

    def spelling(self, label: str) -> str:
        """How the service sees `label`. Raises InputError for a label that is not mapped."""
        try:
            return self.spellings[label]
        except KeyError:
            raise InputError(f"{label!r} is none of the labels {', '.join(self.spellings)}") from None

    def original(self, spelling: str) -> str:
        """The label that `spelling` stands for, in any case. Raises InputError for an unknown one."""
        for label, known in self.spellings.items():
            if known.casefold() == spelling.casefold():
                return label
        raise InputError(f"{spelling!r} stands for none of the labels {', '.join(self.spellings)}")


def write_label_mapping(mapping: LabelMapping, path: Path) -> None:
    """Write `labels.json`. Raises InputError when a file is there that is something else."""
    if path.exists():
        read_label_mapping(path)
    document = {"schema": _SCHEMA, "schema_version": _SCHEMA_VERSION, "spellings": dict(mapping.spellings)}
    write_text_atomically(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read_label_mapping(path: Path) -> LabelMapping:
    """Read `labels.json`. Raises InputError when it is absent, or is something else."""
    try:
        raw = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}", hint="it is written by: cxr data import-file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    spellings = raw.get("spellings") if isinstance(raw, dict) and raw.get("schema") == _SCHEMA else None
    if not isinstance(spellings, dict) or not all(isinstance(spelling, str) for spelling in spellings.values()):
        raise InputError(f"{path} does not tell how labels are spelled", hint="move it away, or write elsewhere: --out")
    if len({spelling.casefold() for spelling in spellings.values()}) != len(spellings):
        raise InputError(f"{path}: two labels have one spelling")
    return LabelMapping(spellings)
