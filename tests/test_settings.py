"""Settings: cxr.toml, then the environment, then flags."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxr.errors import CxrError, InputError, UsageError
from cxr.settings import Settings, Target, load_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cxr.toml"
    path.write_text('on = "gcp"\nproject = "from-file"\nregion = "europe-west4"\n')
    return path


def test_without_anything_the_emulator_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environment={}) == Settings(on=Target.EMULATOR)


def test_later_sources_win(config: Path) -> None:
    environment = {"CXR_PROJECT": "from-environment", "CXR_BUCKET": "from-environment", "OTHER": "x"}
    settings = load_settings({"bucket": "from-flag", "region": None}, config=config, environment=environment)
    assert settings.on is Target.GCP
    assert (settings.project, settings.region, settings.bucket) == ("from-environment", "europe-west4", "from-flag")


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("projct = 'x'", UsageError, "unknown key 'projct'"),
        ("on = 'azure'", UsageError, "no cloud called 'azure'"),
        ("project = 7", UsageError, "must be a text"),
        ("on = ", InputError, "not valid TOML"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, kind: type[CxrError], words: str) -> None:
    path = tmp_path / "cxr.toml"
    path.write_text(text)
    with pytest.raises(kind, match=words):
        load_settings(config=path, environment={})


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no settings file"):
        load_settings(config=tmp_path / "absent.toml")
