"""What tells a patient, folded so that a folder's name can be compared with it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Final

#: Letters that Unicode does not decompose, and how they are written in plain ones.
_PLAIN: Final = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
#: How they, and vowels with two dots, are also written.
_SPELT_OUT: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_SEPARATORS: Final = re.compile(r"[\W_]+")
#: Letters and digits apart, too: `Zebrowski2019`.
_WORDS: Final = re.compile(r"[^\W\d_]+|\d+")
#: Of a longer name only these words are put together in every order.
_ORDERED_WORDS: Final = 4
#: Family, given and middle name: PS3.5, 6.2.1.1. What follows (Dr, Jr) tells nobody when it is short.
_MAIN_PARTS: Final = 3


@dataclass(frozen=True, slots=True)
class PatientWords:
    """Folded IDs (also accession numbers and dates of birth) and names of one patient."""

    ids: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ids: Iterable[str], names: Iterable[str], birth_dates: Iterable[str] = ()) -> PatientWords:
        """From the values of a header: names as DICOM writes them (`Wang^XiaoMing=王^小明`), dates as YYYYMMDD."""
        numbers = {form for text in (*ids, *_date_orders(birth_dates)) for form in _forms(text)}
        return cls(frozenset(numbers - {""}), frozenset(form for name in names for form in _name_forms(name)) - {""})

    def are_in(self, label: str) -> bool:
        """Whether a label is called by one of them, whole, or has one as its words.

        Two letters or digits count only as the whole label, an initial never; nor does the beginning of a word
        (`Norma` in NORMAL).
        """
        for variant in _variants(label):
            pieces = [piece for piece in _SEPARATORS.split(variant) if piece]
            whole = "".join(pieces)
            if whole in self.ids or whole in self.names:
                return True
            if not self.ids.isdisjoint(_runs(pieces)) or not self.names.isdisjoint(_runs(_WORDS.findall(variant))):
                return True
        return False


def _runs(words: list[str]) -> Iterator[str]:
    """Words that follow each other, joined; without those too short to tell anybody."""
    for first in range(len(words)):
        for last in range(first + 1, len(words) + 1):
            run = "".join(words[first:last])
            if _is_telling(run):
                yield run


def _is_telling(form: str) -> bool:
    # A Chinese name has two characters or three.
    return len(form) > 2 or (len(form) == 2 and not form.isascii())


def _name_forms(name: str) -> Iterator[str]:
    # Alphabetic, ideographic and phonetic spelling are divided by =, the parts of each by ^.
    for variant in _variants(name):
        for spelling in variant.split("="):
            words: list[str] = []
            for number, part in enumerate(spelling.split("^")):
                own = [word for word in _SEPARATORS.split(part) if word]
                least = 2 if number < _MAIN_PARTS else 3
                yield from (form for form in ("".join(own), *own) if len(form) >= least or not form.isascii())
                words += own
            yield "".join(words)
            for count in range(2, _ORDERED_WORDS + 1):
                yield from map("".join, permutations(words[:_ORDERED_WORDS], count))


def _date_orders(dates: Iterable[str]) -> Iterator[str]:
    for date in dates:
        digits = re.sub(r"\D", "", date)
        if len(digits) == 8:
            year, month, day = digits[:4], digits[4:6], digits[6:]
            yield from (digits, day + month + year, month + day + year)


def _forms(text: str) -> set[str]:
    return {_SEPARATORS.sub("", variant) for variant in _variants(text)}


def _variants(text: str) -> set[str]:
    """A text without case and marks, and the same with ä as ae and so on."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).casefold())
    return {_without_marks(folded), _without_marks(folded.translate(_SPELT_OUT))}


def _without_marks(text: str) -> str:
    letters = (letter for letter in unicodedata.normalize("NFKD", text) if unicodedata.category(letter) != "Mn")
    return unicodedata.normalize("NFC", "".join(letters)).translate(_PLAIN)
