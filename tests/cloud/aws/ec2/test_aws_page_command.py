"""`cxr cloud host --engine ec2`, as its users call it, on the server of this machine that stands for Amazon."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hosted_page import FILES

from cxr.cloud.aws.local.process import stop

pytestmark = pytest.mark.slow

BUCKET = "page-of-mine"


@pytest.fixture
def cxr(run_cxr: Callable[..., Any], tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """`cxr cloud VERB … --on aws-local` of a server of its own."""
    folder = tmp_path / ".cxr"
    where = ("--on", "aws-local", "--bucket", BUCKET, "--state-dir", str(folder))
    yield lambda verb, *words: run_cxr("cloud", verb, *words, *where)
    stop(folder / "aws-local")


def test_a_page_is_planned_served_renewed_listed_and_removed(
    cxr: Any, run_cxr: Callable[..., Any], page: Path, tmp_path: Path
) -> None:
    machine = ("--engine", "ec2", "--allow", "203.0.113.7", "--hours", "12", "--machine", "t3.nano")
    planned = cxr("host", str(page), *machine, "--plan", "plan.json")
    assert planned.returncode == 0, planned.stderr
    assert "at most 0.13 USD for 12 h; 8.09 USD a month" in planned.stdout
    assert "no service worker" in planned.stdout
    applied = ("cloud", "host", "--apply", "plan.json", "--state-dir", str(tmp_path / ".cxr"), "--yes", "--json")
    done = run_cxr(*applied)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["sent"], said["started"], said["public"]) == (len(FILES) + 3, True, False)
    assert said["address"].startswith("http://ec2-")
    assert said["machine"]["networks"] == ["203.0.113.7/32"]
    assert "Research use, not a medical device" in done.stderr
    stale = run_cxr(*applied)
    assert (stale.returncode, "differ" in stale.stderr) == (5, True)

    again = cxr("host", str(page), *machine, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["machine"] == said["machine"]
    assert "nothing to do" in again.stderr
    assert "--engine ec2 to renew" in cxr("host", str(page), "--dry-run").stderr
    cleaned = cxr("clean", "--all", "--dry-run")
    assert said["machine"]["resource"].rpartition("/")[2] in cleaned.stdout, cleaned.stderr
    assert "security group" in cleaned.stdout

    unconfirmed = cxr("host", "--remove", "--engine", "ec2")
    assert unconfirmed.returncode == 2
    removed = cxr("host", "--remove", "--engine", "ec2", "--yes", "--json")
    assert removed.returncode == 0, removed.stderr
    gone = json.loads(removed.stdout)
    assert (gone["ended"], gone["bucket_deleted"]) == (said["machine"]["resource"], True)
    assert cxr("host", "--remove", "--engine", "ec2", "--yes").returncode == 2


def test_everybody_sees_it_only_when_the_buckets_name_is_said(
    cxr: Any, run_cxr: Callable[..., Any], page: Path
) -> None:
    public = ("host", str(page), "--engine", "ec2", "--public")
    for words in ((), ("--yes",), ("--yes", "--yes-public", "another")):
        refused = cxr(*public, *words)
        assert (refused.returncode, BUCKET in refused.stderr) == (2, True), refused.stderr
        assert "all its weights" in refused.stderr
    assert cxr(*public, "--allow", "0.0.0.0/0", "--plan", "plan.json").returncode == 0
    applied = ("cloud", "host", "--apply", "plan.json", "--state-dir", ".cxr", "--yes", "--json", "--quiet")
    assert run_cxr(*applied).returncode == 2
    done = run_cxr(*applied, "--yes-public", BUCKET)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["public"], said["server"]["public"], said["server"]["networks"]) == (False, True, ["0.0.0.0/0"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{page}", "--engine", "ec2"), "--allow 203.0.113.7/32"),
        (("{page}", "--engine", "ec2", "--allow", "me"), "not looked up"),
        (("{page}", "--engine", "ec2", "--allow", "0.0.0.0/0"), "--public"),
        (("{page}", "--engine", "ec2", "--allow", "10.0.0.1", "--hours", "721"), "720"),
        (("{page}", "--allow", "10.0.0.1"), "add --engine ec2"),
        (("--remove", "--engine", "ec2", "--hours", "2"), "says nothing to --remove"),
        (("--engine", "ec2", "--allow", "10.0.0.1"), "no page is named"),
        (("{page}", "--engine", "ec2", "--allow", "10.0.0.1", "--on", "gcp", "--project", "p-123456"), "web package"),
    ],
    ids=["nobody", "me", "everybody", "hours", "no-engine", "remove", "no-page", "google"],
)
def test_wrong_words_are_refused_before_anything_is_asked(
    run_cxr: Callable[..., Any], page: Path, words: tuple[str, ...], said: str
) -> None:
    given = [word.format(page=page) for word in words]
    on = () if "--on" in given else ("--on", "aws-local")
    refused = run_cxr("cloud", "host", *given, *on, "--bucket", BUCKET, "--yes")
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert "starting moto" not in refused.stderr


def test_a_machine_or_an_engine_that_is_none_is_refused_by_name(cxr: Any, page: Path) -> None:
    words = ("host", str(page), "--allow", "10.0.0.1", "--dry-run")
    machine = cxr(*words, "--engine", "ec2", "--machine", "t2.micro")
    assert (machine.returncode, "--machine t3.micro or" in machine.stderr) == (2, True), machine.stderr
    engine = cxr(*words, "--engine", "sagemaker")
    assert (engine.returncode, "--engine ec2" in engine.stderr) == (2, True), engine.stderr
