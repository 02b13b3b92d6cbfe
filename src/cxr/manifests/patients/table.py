"""Patients from a table that the user has: one row per image, with a path (or a file name) and a patient."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cxr.errors import InputError
from cxr.manifests.patients.names import Patient, known_patient, patient_of, unknown_patient

DEFAULT_COLUMN: Final = "patient"
#: The columns that may name the image, the first that is there counts.
PATH_COLUMNS: Final = ("path", "file")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_COLUMNS_HINT: Final = "the first line names the columns: path (or file) and patient; another one is csv:FILE#COLUMN"


@dataclass(frozen=True, slots=True)
class _Entry:
    patient: str
    row: int


@dataclass(slots=True)
class CsvReader:
    """Reads patients from a CSV. `names` are its bare file names, `paths` all else; `taken` says which image had a bare
    name first: two images of one name cannot be told apart by it."""

    spec: str
    file: Path
    paths: Mapping[str, _Entry]
    names: Mapping[str, _Entry]
    taken: dict[str, str] = field(default_factory=dict)

    def read(self, relative_path: str) -> Patient:
        """The patient of an image; unknown when the table does not have it. The etiology comes from the file name.

        Raises InputError when the table has only a bare file name and two images are called so.
        """
        etiology = patient_of(relative_path).etiology
        path = _posix(relative_path)
        entry = self.paths.get(path)
        if entry is None:
            name = path.rpartition("/")[2]
            entry = self.names.get(name)
            if entry is None:
                return unknown_patient(relative_path, etiology)
            first = self.taken.setdefault(name, relative_path)
            if first != relative_path:
                raise InputError(
                    f"{self.file}, row {entry.row}: {name!r} may be {first} or {relative_path}",
                    hint="give the whole path, relative to the images' folder, in the column path",
                )
        return known_patient(entry.patient, etiology)

    def tells_nothing(self, relative_path: str) -> InputError:
        """A table that has none of the images is of others, or writes their paths otherwise."""
        name = relative_path.rpartition("/")[2]
        images = [*self.paths, *self.names]
        shown = next((image for image in images if image.rpartition("/")[2] == name), images[0])
        return InputError(
            f"{self.file} has none of the images: it has {shown!r}, where an image is {relative_path!r}",
            hint="write paths relative to the images' folder, or file names alone where no two images share one",
        )


def read_patient_csv(argument: str) -> CsvReader:
    """The reader for FILE or FILE#COLUMN.

    Raises InputError naming file and row: no such file or column, no header, no row, an empty cell, one image with two
    patients.
    """
    file, column = _file_and_column(argument)
    try:
        data = file.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no file {file}", hint="--patient-key csv:FILE or csv:FILE#COLUMN") from None
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{file}, row {row}: not UTF-8", hint="save the table as CSV in UTF-8") from None
    paths: dict[str, _Entry] = {}
    names: dict[str, _Entry] = {}
    for row, image, patient in _rows(file, text, column):
        known = paths if "/" in image else names
        before = known.setdefault(image, _Entry(patient, row))
        if before.patient != patient:
            raise InputError(
                f"{file}, row {row}: {image!r} has the patient {patient!r}, and {before.patient!r} in row {before.row}",
                hint="an image shows one patient; where two images have one name, give their whole paths",
            )
    if not (paths or names):
        raise InputError(f"{file} has columns, but no row", hint=_COLUMNS_HINT)
    digest = hashlib.sha256(data).hexdigest()[:12]
    return CsvReader(f"csv:{file.name}#{column}@{digest}", file, paths, names)


def _posix(path: str) -> str:
    """Tables made on Windows have their paths with backslashes."""
    return path.replace("\\", "/")


def _file_and_column(argument: str) -> tuple[Path, str]:
    whole = Path(argument)
    name, mark, column = argument.rpartition("#")
    # A file may have a # in its name.
    if not mark or _is_file(whole):
        return whole, DEFAULT_COLUMN
    return Path(name), column


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _rows(file: Path, text: str, column: str) -> Iterator[tuple[int, str, str]]:
    """Row number (the header is 1), image and patient. A row's number is that of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        image_column = next((header.index(name) for name in PATH_COLUMNS if name in header), None)
        if image_column is None or column not in header:
            lacking = "path or file" if image_column is None else repr(column)
            columns = ", ".join(header)[:200] or "none"
            raise InputError(f"{file} has no column {lacking}; its columns: {columns}", hint=_COLUMNS_HINT)
        patient_column = header.index(column)
        for cells in reader:
            if not any(cells):
                continue
            row = reader.line_num
            if len(cells) != len(header):
                raise InputError(f"{file}, row {row}: {len(cells)} cells under {len(header)} columns")
            image = _posix(cells[image_column].strip()).removeprefix("./")
            patient = cells[patient_column].strip()
            for cell, what in ((image, header[image_column]), (patient, column)):
                if not cell or _CONTROL.search(cell):
                    wrong = "has control characters" if cell else "is empty"
                    hint = "leave the row out: an image that the table does not have counts as its own patient"
                    raise InputError(f"{file}, row {row}: {what} {wrong}", hint=hint)
            yield row, image, patient
    except csv.Error as error:
        raise InputError(f"{file}, row {reader.line_num}: not CSV: {error}") from error
