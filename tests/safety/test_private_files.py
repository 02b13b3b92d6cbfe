"""What holds patients' images or opens a cloud is its user's alone, whatever the umask says; all else obeys it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cxr.cloud.jobs.journal import Journal
from cxr.cloud.plans.launch import JobKind
from cxr.errors import InputError, UsageError
from cxr.files import private_folder
from cxr.local_baseline.images.row_file import only_one
from cxr.manifests.dicom.import_record import growing_record
from cxr.manifests.dicom.places import record_beside
from cxr.manifests.dicom.pseudonyms import Pseudonyms, is_open_to_others, read_or_make_salt
from cxr.settings import Settings, Target
from cxr.storage.sessions import SessionRecords


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0o000)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def journal_with_a_job(folder: Path) -> Journal:
    from cxr.cloud.jobs.journal import Job

    journal = Journal(folder / ".cxr" / "jobs.jsonl")
    job = Job("custom-1", JobKind.CUSTOM, Target.GCP, "p", "us-central1", "b", "cxr", "a" * 64, "f")
    journal.add(job)
    return journal


def test_the_journal_and_its_folder_are_private(tmp_path: Path) -> None:
    journal = journal_with_a_job(tmp_path)
    assert mode(journal.path) == 0o600
    assert mode(journal.path.parent) == 0o700


def test_the_cache_of_decoded_images_is_private(tmp_path: Path) -> None:
    with only_one(tmp_path / ".cxr" / "cache" / "rows.npy", lambda: None):
        pass
    assert mode(tmp_path / ".cxr" / "cache") == mode(tmp_path / ".cxr") == 0o700


def test_sessions_of_uploads_and_the_salt_are_private(tmp_path: Path) -> None:
    SessionRecords(tmp_path / "sessions").put("k" * 40, "https://storage.example/session")
    assert mode(tmp_path / "sessions") == 0o700
    assert [mode(path) for path in (tmp_path / "sessions").iterdir()] == [0o600]
    read_or_make_salt(tmp_path / "salt")
    assert not is_open_to_others(tmp_path / "salt")


def test_the_record_that_leads_back_to_patients_files_is_private(tmp_path: Path) -> None:
    with growing_record(tmp_path / "pictures", Pseudonyms(b"a salt of thirty-two bytes for it")):
        pass
    assert mode(record_beside(tmp_path / "pictures")) == 0o600


def test_a_folder_that_is_there_keeps_what_its_owner_decided(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o775)
    private_folder(folder / "inside")
    assert mode(folder) == 0o775
    assert mode(folder / "inside") == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        private_folder(tmp_path / "file")


def test_the_state_of_a_server_is_private(local_cloud: Settings) -> None:
    assert mode(local_cloud.emulator_dir) == 0o700


def test_a_journal_behind_a_link_is_not_written(tmp_path: Path) -> None:
    """A folder that was downloaded could lead it into any file of the user."""
    target = tmp_path / "authorized_keys"
    target.write_text("", encoding="utf-8")
    (tmp_path / ".cxr").mkdir()
    (tmp_path / ".cxr" / "jobs.jsonl").symlink_to(target)
    with pytest.raises(InputError, match="is a link"):
        journal_with_a_job(tmp_path)
    assert target.read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    "job_id", ["../../x", "/etc/x", "a b", "a;id", "$(id)", "a\x1b[2J", "", "-rf", "a" * 200, "a/b"]
)
def test_an_id_that_is_a_path_or_a_command_makes_no_job(tmp_path: Path, job_id: str) -> None:
    import json

    journal = journal_with_a_job(tmp_path)
    line = journal.path.read_text(encoding="utf-8").replace('"custom-1"', json.dumps(job_id))
    with journal.path.open("a", encoding="utf-8") as stream:
        stream.write(line)
    assert [job.id for job in journal.jobs()] == ["custom-1"]
    assert len(journal.problems) == 1
    with pytest.raises(UsageError):
        journal.find(job_id or "x")


def test_temporary_files_have_names_that_nobody_can_foresee(tmp_path: Path) -> None:
    """A link under a name that is known beforehand would lead what is written elsewhere."""
    code = (
        "import os, sys; from pathlib import Path; from cxr.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as one: print(one.name, oct(one.stat().st_mode & 0o777))\n"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "file")], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(shown) == 2
    assert all(line.endswith("0o600\n") for line in shown)
