"""Whose credentials these are and whether they hold: google-auth itself, asking the emulator's token endpoint."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("google.auth", reason='needs the extra: pip install "cxr[gcp]"')

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.oauth2 import credentials as oauth2

from cxr.cloud.connection import Connection
from cxr.cloud.emulator.process import change_project, ensure_running, stop
from cxr.cloud.preflight import Level, Purpose, Subject, preflight, refuse_on_errors
from cxr.cloud.vertex.preflight.accounts import account_of, checked_account, current_account, default_credentials
from cxr.cloud.vertex.preflight.clients import build_client, quota_client, service_usage_client
from cxr.errors import NotAllowed, Unreachable
from cxr.settings import Target

EMAIL = "trainer@my-project.iam.gserviceaccount.com"
GOOGLE = Connection(Target.GCP, "my-project", "us-central1", "my-bucket", "cxr", None)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    state = tmp_path_factory.mktemp("tokens")
    yield ensure_running(state, idle_exit_seconds=300)
    stop(state)


@pytest.fixture
def signed_in(url: str) -> Iterator[str]:
    """The token endpoint."""
    yield f"{url}/token"
    change_project(url, {})


@pytest.fixture(scope="module")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


@pytest.fixture
def key_file(private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes a service account's key file and makes it the default credentials."""

    def write(token_uri: str) -> Path:
        path = tmp_path / "key.json"
        path.write_text(json.dumps(service_account(private_key, token_uri)))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
        return path

    return write


def service_account(private_key: str, token_uri: str) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "0123456789abcdef",
        "private_key": private_key,
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": token_uri,
    }


def test_a_service_account_is_named_when_it_gets_a_token(signed_in: str, key_file: Callable[[str], Path]) -> None:
    key_file(signed_in)
    assert current_account(GOOGLE).words == f"service account {EMAIL}"


def test_a_service_account_whose_key_is_gone_is_refused_and_nothing_else_is_asked(
    url: str, signed_in: str, key_file: Callable[[str], Path], private_key: str
) -> None:
    key_file(signed_in)
    change_project(url, {"refused_accounts": [EMAIL]})
    findings = preflight(GOOGLE, Subject(Purpose.AUTOML))
    by_check = {one.check: one for one in findings}
    refused = by_check["credentials"]
    assert (refused.level, refused.denied) == (Level.ERROR, True)
    assert EMAIL in refused.cause
    assert "invalid_grant" in refused.cause
    assert f"--iam-account {EMAIL}" in refused.next
    asked = {one.check for one in findings if one.level is not Level.SKIPPED}
    assert asked == {"credentials", "region", "budget", "price"}
    with pytest.raises(NotAllowed) as raised:
        refuse_on_errors(findings)
    assert private_key.splitlines()[1] not in f"{findings}{raised.value}"


def user(token_uri: str, **more: Any) -> oauth2.Credentials:
    options = {"client_id": "764086051850-x.apps.googleusercontent.com", "client_secret": "s", **more}
    return oauth2.Credentials(None, refresh_token="1//planted-refresh-token", token_uri=token_uri, **options)


def test_a_user_is_told_from_a_service_account(signed_in: str) -> None:
    plain = checked_account(user(signed_in))
    assert plain.words == "user account (gcloud auth application-default login)"
    assert plain.needs_quota_project
    named = checked_account(user(signed_in, account="a@example.com", quota_project_id="my-project"))
    assert (named.words, named.needs_quota_project) == ("user account a@example.com", False)


def sent_with(client: Any) -> dict[str, str]:
    """The headers that google-auth adds to a client's requests."""
    headers: dict[str, str] = {}
    client.transport._credentials.apply(headers, token="t")
    return headers


@pytest.mark.parametrize(("own", "asked"), [("", "my-project"), ("the-users-choice", "the-users-choice")])
def test_requests_of_a_user_count_against_a_project(
    own: str, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("client_id", "client_secret", "refresh_token")
    more = {"quota_project_id": own} if own else {}
    (tmp_path / "user.json").write_text(json.dumps({"type": "authorized_user", **dict.fromkeys(names, "x"), **more}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "user.json"))
    monkeypatch.delenv("GOOGLE_CLOUD_QUOTA_PROJECT", raising=False)
    account = account_of(default_credentials())
    clients = (build_client(GOOGLE), service_usage_client(GOOGLE, account), quota_client(GOOGLE, account))
    assert [sent_with(one).get("x-goog-user-project") for one in clients] == [asked] * 3


def test_builds_of_a_service_account_need_no_other_project(signed_in: str, key_file: Callable[[str], Path]) -> None:
    key_file(signed_in)
    assert "x-goog-user-project" not in sent_with(build_client(GOOGLE))


def test_a_revoked_sign_in_says_so_with_the_line_that_renews_it(url: str, signed_in: str) -> None:
    change_project(url, {"refused_accounts": ["*"]})
    with pytest.raises(NotAllowed, match="has expired or was revoked") as raised:
        checked_account(user(signed_in))
    assert "gcloud auth application-default login" in str(raised.value.hint)
    assert "planted-refresh-token" not in f"{raised.value}{raised.value.__cause__}"


def test_a_sign_in_service_out_of_reach_is_no_refusal() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # nobody else's, as long as it is bound
        with pytest.raises(Unreachable):
            checked_account(user(f"http://127.0.0.1:{port}/token"))


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "was not found"), ("no json", "not a valid json"), ('{"type": "robot"}', "valid type")],
    ids=["missing", "no-json", "type"],
)
def test_a_key_file_that_cannot_be_used_is_told_by_name(
    text: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.json"
    if text is not None:
        path.write_text(text)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(NotAllowed, match=words) as raised:
        current_account(GOOGLE)
    assert raised.value.hint == "mend GOOGLE_APPLICATION_CREDENTIALS"


def test_the_emulator_is_given_no_real_credentials(key_file: Callable[[str], Path]) -> None:
    key_file("https://oauth2.googleapis.com/token")
    there = Connection(Target.EMULATOR, "p", "us-central1", "b", "cxr", "http://127.0.0.1:9")
    assert "no credentials" in current_account(there).words
    assert account_of(user("http://127.0.0.1:9")).kind == "user account"
