"""The user's own keys are sent to no server of this machine, and are in nothing that is written or said."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from provider_place import start
from provider_site import SAYS_ENVIRONMENT, Ended, Site
from relay import Relay, lead_to, relay_to

from cxr.cloud.connection import connect
from cxr.manifests.manifest_file import write_manifest

pytest.importorskip("cryptography", reason='needs the extra: pip install "cxr[gcp]"')
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

SENTINELS = {
    "AWS_ACCESS_KEY_ID": "AKIASENTINELSENTINEL",
    "AWS_SECRET_ACCESS_KEY": "sentinel/secret/of/the/user/9f1c2e7b",
    "AWS_SESSION_TOKEN": "sentinel-token-of-the-user-51d0a3",
    "AWS_PROFILE": "sentinel-profile-77",
}


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What must not be seen: keys in the environment and in the files that it names."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*form).decode()
    account = {"type": "service_account", "client_email": "a@p.iam.gserviceaccount.com", "private_key": key}
    (tmp_path / "key.json").write_text(
        json.dumps({**account, "private_key_id": "1", "token_uri": "https://oauth2.googleapis.com/token"})
    )
    stored = "stored/secret/of/the/user/44aa10"
    (tmp_path / "credentials").write_text(
        f"[{SENTINELS['AWS_PROFILE']}]\naws_access_key_id = AKIASTOREDSTOREDSTOR\naws_secret_access_key = {stored}\n"
    )
    named = {
        **SENTINELS,
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "key.json"),
        "CXR_DEBUG": "1",
    }
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    texts = [*SENTINELS.values(), stored, "AKIASTOREDSTOREDSTOR", *key.splitlines()[1:-1]]
    return [text.encode() for text in texts]


@contextmanager
def own_server(site: Site, folder: Path) -> Iterator[tuple[Site, Relay]]:
    """A server that was started in the user's shell, and a folder whose programs ask it through a relay."""
    assert site.cloud is not None
    folder.mkdir()
    served = replace(site.settings, state_dir=folder / "server" / ".cxr")
    start(site.cloud, served)
    try:
        connection = connect(served)
        assert connection.endpoint is not None
        own = Site(folder, replace(served, state_dir=folder / ".cxr"), connection, site.manifest, site.cloud)
        write_manifest(site.manifest, folder / "manifest.csv")
        with relay_to(connection.endpoint) as relay:
            lead_to(relay.url, site.cloud.state(served), site.cloud.state(own.settings))
            yield own, relay
    finally:
        site.cloud.process.stop(site.cloud.state(served))


def whole_run(site: Site) -> list[Ended]:
    """From the upload to the clean-up; the job says its environment."""
    train = ("cloud", "train", "custom")
    seed = str(SAYS_ENVIRONMENT)
    said = [
        site.cxr("cloud", "upload", "--yes"),
        site.cxr(*train, "--recipe", "cnn5", "--epochs", "1", "--seed", seed, "--plan", "plan.json"),
        launched := site.cxr(*train, "--apply", "plan.json", "--yes", "--json"),
    ]
    job = launched.data["job"]
    said.append(site.cxr("cloud", "wait", job))
    said.append(logs := site.cxr("cloud", "logs", job))
    assert '"PATH"' in logs.out
    said.append(site.cxr("cloud", "export", job, "--out", "bundle"))
    said.append(site.cxr("cloud", "attach", "--all"))
    said.append(site.cxr("cloud", "clean", "--all", "--dry-run", "--json"))
    return said


@pytest.mark.slow
def test_no_key_of_the_user_is_sent_written_or_said(scripted: Site, tmp_path: Path, secrets: list[bytes]) -> None:
    with own_server(scripted, tmp_path / "work") as (site, relay):
        said = whole_run(site)
        objects = site.connection.open(site.connection.bucket_url)
        stored = {info.name: objects.get_bytes(info.name) for info in objects.list()}
        files = {str(path): path.read_bytes() for path in site.folder.rglob("*") if path.is_file()}
    assert [ended.code for ended in said] == [0] * len(said), [ended.err[-2000:] for ended in said if ended.code]
    assert any(name.endswith("jobs.jsonl") for name in files)
    assert any(name.endswith("server.log") for name in files)
    assert any(name.endswith("plan.json") for name in files)
    assert len(relay.heard) > 100
    seen = {
        "said": "".join(ended.out + ended.err for ended in said).encode(),
        **{f"stored {name}": data for name, data in stored.items()},
        **files,
        **{
            f"sent {number}: {heard.method} {heard.path}": json.dumps(dict(heard.headers)).encode() + heard.body
            for number, heard in enumerate(relay.heard)
        },
    }
    found = [(where, secret) for where, data in seen.items() for secret in secrets if secret in data]
    assert found == []
    assert not any("x-amz-security-token" in heard.headers for heard in relay.heard)
