"""Uploads and downloads through every trouble: each test ends with every object byte for byte, none lost, none more."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
from upload_site import BUCKET, Site, make_site

from cxr.cloud.emulator.process import ensure_running

pytestmark = pytest.mark.slow

INSERT = "storage.objects.insert"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with make_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    """Nothing is stored yet but the bucket is there."""
    requests.post(f"{made.url}/storage/v1/b?project=p", json={"name": BUCKET, "location": "us-central1"}, timeout=120)
    yield made
    made.clear()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_503_twice_on_each_object(site: Site) -> None:
    with site.faults({"method": "POST", "action": "status", "status": 503, "times": 2, "per": "object"}):
        summary = site.upload()
    assert site.is_whole()
    assert summary["retries"] >= 2 * len(site.images)
    assert summary["missing"] == []


def test_429_is_left_alone_for_as_long_as_it_asks(site: Site) -> None:
    rule = {"method": "POST", "operation": INSERT, "action": "status", "status": 429, "retry_after": 1, "times": 5}
    with site.faults(rule):
        summary = site.upload()
    assert site.is_whole()
    assert summary["retries"] >= 5
    assert summary["seconds"] >= 1


def test_the_connection_is_reset_in_the_middle_of_a_body(site: Site) -> None:
    with site.faults(
        {"method": "POST", "operation": INSERT, "action": "reset", "after_bytes": 300, "times": 1, "per": "object"}
    ):
        assert site.upload()["retries"] >= 50
    assert site.is_whole()


def test_bytes_that_are_damaged_on_the_way_are_refused_and_sent_again(site: Site) -> None:
    with site.faults({"method": "POST", "operation": INSERT, "action": "corrupt", "times": 1, "per": "object"}):
        summary = site.upload()
        assert site.fired()[0] >= 50
    assert site.is_whole()
    assert summary["retries"] >= 50


def test_the_object_is_made_and_the_answer_lost(site: Site) -> None:
    rule = {"method": "POST", "operation": INSERT, "action": "status", "status": 503, "after": True, "times": 1}
    with site.faults(rule | {"per": "object"}, {"method": "POST", "action": "reset", "after": True, "times": 3}):
        site.upload()
    assert site.is_whole()


def test_a_large_file_goes_on_where_it_was_interrupted(site: Site) -> None:
    size = (site.folder / "images" / "NORMAL" / "large0.png").stat().st_size
    assert size > 9 << 20
    with site.faults({"method": "PUT", "action": "reset", "after_bytes": 3 << 20, "times": 2}):
        summary = site.upload()
        assert site.fired() == [2]
    assert site.is_whole()
    total = sum(path.stat().st_size for path in site.images.values())
    # Each reset loses what was under way; what the service had kept is not sent again.
    assert summary["moved_bytes"] < total + (8 << 20)


def test_a_large_file_goes_on_in_another_process_after_kill_9(site: Site) -> None:
    large = site.images["NORMAL/large0.png"]
    site.requests()
    # At this rate seconds lie between what is waited for and the end.
    killed = site.start("upload", "--yes", "--json", "--max-rate", "1M")
    wait_until(lambda: site.received() > 6 << 20)
    killed.kill()
    killed.communicate()
    records = list((site.folder / ".cxr" / "uploads").iterdir())
    assert len(records) == 1
    assert records[0].stat().st_mode & 0o077 == 0
    summary = site.upload()
    assert site.is_whole()
    assert summary["moved_bytes"] < large.stat().st_size - (4 << 20)
    assert list((site.folder / ".cxr" / "uploads").iterdir()) == []


def test_a_stalled_request_is_given_up_and_tried_again(site: Site) -> None:
    with site.faults({"method": "POST", "operation": INSERT, "action": "stall", "seconds": 600, "times": 6}):
        summary = site.upload("--stall-timeout", "0.5")
        assert site.fired() == [6]
    assert summary["retries"] >= 6
    assert site.is_whole()


def test_when_patience_is_at_its_end_all_that_is_missing_is_named(site: Site) -> None:
    with site.faults({"method": "POST", "operation": INSERT, "action": "status", "status": 503}):
        done = site.cxr("upload", "--yes", "--json", "--retry-for", "1")
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert summary["missing"] == sorted(f"images/{path}" for path in site.images)
    assert "files are missing" in done.stderr
    assert "next: cxr cloud upload --manifest manifest.csv --retry-for 1" in done.stderr
    assert site.objects() == {}
    site.upload()
    assert site.is_whole()


def test_ctrl_c_does_not_wait_for_a_stalled_server_and_says_what_is_done(site: Site) -> None:
    with site.faults({"method": "POST", "object": "large|patient04", "action": "stall", "seconds": 600}):
        process = site.start("upload", "--yes", "--json", "--workers", "16")
        stalled = [path for path in site.images if "large" in path or "patient04" in path]
        wait_until(lambda: len(site.objects()) == len(site.images) - len(stalled))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=300)
    assert process.returncode == 6
    summary = json.loads(out)
    assert summary["interrupted"]
    assert summary["sent_files"] == len(site.objects())
    assert sorted(name.removeprefix("images/") for name in summary["missing"]) == sorted(
        set(site.images) - set(site.objects())
    )
    assert "stopped by Ctrl-C" in err
    again = site.upload()
    assert again["sent_files"] == summary["missing_files"]
    assert site.is_whole()


def killed_at_random(site: Site, seeds: range) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        with site.faults(latency_ms=30):
            process = site.start("upload", "--yes", "--workers", "4")
            goal = chance.randrange(len(site.images))
            wait_until(lambda goal=goal, process=process: len(site.objects()) >= goal or process.poll() is not None)
            time.sleep(chance.random() * 0.05)
            process.kill()
            process.communicate()
        there = site.objects()
        summary = site.upload()
        assert summary["sent_files"] <= len(site.images) - len(there)
        assert site.is_whole()
        site.clear()


def test_killed_at_random_points(site: Site) -> None:
    killed_at_random(site, range(2))


@pytest.mark.slow
def test_killed_at_twenty_random_points(site: Site) -> None:
    killed_at_random(site, range(100, 120))


def test_the_server_is_killed_and_started_again_in_the_middle(site: Site) -> None:
    with site.faults(latency_ms=100):
        process = site.start("upload", "--yes", "--json", "--workers", "4")
        wait_until(lambda: len(site.objects()) >= 15)
        state = site.folder / ".cxr" / "emulator"
        server = psutil.Process(json.loads((state / "server.json").read_text())["pid"])
        server.kill()
        server.wait(300)
        assert ensure_running(state) == site.url
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert json.loads(out)["retries"] >= 1
    assert site.is_whole()


def test_two_uploads_of_the_same_manifest_at_once(site: Site) -> None:
    with site.faults(latency_ms=20):
        both = [site.start("upload", "--yes", "--json", "--workers", "8") for _ in range(2)]
        ended = [(process.communicate(timeout=300), process.returncode) for process in both]
    assert [code for _, code in ended] == [0, 0], ended
    assert site.is_whole()


def test_a_file_that_changes_and_one_that_goes_during_the_run(site: Site) -> None:
    changed, gone = site.images["PNEUMONIA/patient058.png"], site.images["PNEUMONIA/patient056.png"]
    kept = {path: path.read_bytes() for path in (changed, gone)}
    try:
        with site.faults(latency_ms=150):
            process = site.start("upload", "--yes", "--json", "--workers", "2")
            wait_until(lambda: len(site.objects()) >= 5)
            changed.write_bytes(kept[changed][:-1] + b"!")
            gone.unlink()
            out, err = process.communicate(timeout=300)
    finally:
        for path, data in kept.items():
            path.write_bytes(data)
    assert process.returncode == 2
    assert "patient058.png has changed since it was scanned" in err
    assert "patient056.png is gone since it was scanned" in err
    assert json.loads(out)["missing"] == ["images/PNEUMONIA/patient056.png", "images/PNEUMONIA/patient058.png"]
    assert set(site.images) - set(site.objects()) == {"PNEUMONIA/patient056.png", "PNEUMONIA/patient058.png"}
    site.upload()
    assert site.is_whole()


def test_somebody_overwrites_an_object_between_plan_and_apply(site: Site) -> None:
    site.upload()
    victim = "NORMAL/patient011.png"
    plan = site.cxr("upload", "--plan", "plan.jsonl")
    assert plan.returncode == 0, plan.stderr
    site.put(victim, b"somebody else's")
    refused = site.cxr("upload", "--apply", "plan.jsonl", "--yes")
    assert refused.returncode == 5
    assert f"images/{victim} has other bytes" in refused.stderr
    summary = site.upload()  # a new plan sees the change and goes over it
    assert (summary["changed"], summary["new"]) == (1, 0)
    assert site.is_whole()


def test_a_second_upload_is_one_listing_and_sends_no_body(site: Site) -> None:
    site.requests()
    site.upload()
    first = site.requests()
    summary = site.upload()
    second = site.requests()
    assert (summary["unchanged"], summary["bytes_to_send"]) == (len(site.images), 0)
    assert first["storage.objects.insert"] >= len(site.images)
    assert "storage.objects.insert" not in second
    assert second["storage.objects.list"] == 1


def test_orphans_go_only_when_it_is_said_and_confirmed(site: Site) -> None:
    site.upload()
    site.put("NORMAL/nobody.png", b"an orphan")
    assert site.upload()["orphans"] == 1
    refused = site.cxr("upload", "--delete-orphans")
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    assert "NORMAL/nobody.png" in site.objects()
    assert site.upload("--delete-orphans")["deleted"] == 1
    assert site.is_whole()


@pytest.mark.slow
def test_the_clock_is_an_hour_off_and_then_right_again(site: Site, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time\n_t = time.time\ntime.time = lambda: _t() + 3600\n")
    with site.faults(
        {"method": "PUT", "path": "upload_id", "action": "stall", "seconds": 600, "times": 1, "after_bytes": 5 << 20}
    ):
        process = site.start("upload", "--yes", env={"PYTHONPATH": str(tmp_path)})
        wait_until(lambda: site.fired() == [1] and len(site.objects()) == len(site.images) - 1)
        process.kill()
        process.communicate()
    site.upload()
    assert site.is_whole()


def test_a_download_of_damaged_and_broken_bytes_ends_whole(site: Site, tmp_path: Path) -> None:
    site.upload()
    rules = [
        {"method": "GET", "path": "alt=media", "action": action, "times": 1, "per": "object", "object": wanted, **more}
        for action, wanted, more in (
            ("corrupt", r"images/NORMAL/patient0[0-2]", {}),
            ("reset", r"images/NORMAL/patient0[3-5]", {"after_bytes": 200}),
            ("status", r"images/PNEUMONIA", {"status": 503}),
            ("reset", r"large", {"after_bytes": 3 << 20}),
        )
    ]
    with site.faults(*rules):
        done = site.cxr("download", str(tmp_path / "back"), "--json")
        fired = site.fired()
        assert all(count > 0 for count in fired), (fired, done.stderr)
    assert done.returncode == 0, done.stderr
    back = {
        p.relative_to(tmp_path / "back" / "images").as_posix(): p for p in (tmp_path / "back" / "images").rglob("*")
    }
    assert {path for path, file in back.items() if file.is_file()} == set(site.images)
    assert all(back[path].read_bytes() == file.read_bytes() for path, file in site.images.items())
    again = json.loads(site.cxr("download", str(tmp_path / "back"), "--json").stdout)
    assert (again["new"], again["changed"], again["bytes_to_fetch"]) == (0, 0, 0)


def test_the_disk_is_full_while_downloading(site: Site, tmp_path: Path) -> None:
    site.upload()
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no private mounts here: a small disk cannot be made")
    (tmp_path / "disk").mkdir()
    script = 'mount -t tmpfs -o size=2m none "$1" && shift && "$@"; code=$?; ls -aR disk > left; exit $code'
    command = ["unshare", "-rm", "sh", "-c", script, "sh", "disk", "python", "-m", "cxr"]
    import sys

    command[-3] = sys.executable
    source = f"gs://{BUCKET}/cxr"
    done = subprocess.run(
        [*command, "cloud", "download", "disk/back", "--from", source, "--state-dir", str(site.folder / ".cxr")],
        cwd=tmp_path,
        env=site.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert "No space left" in done.stderr
    left = (tmp_path / "left").read_text()
    assert "large0.png" not in left
    assert ".part" not in left
    assert "manifest.csv" not in left


def test_a_file_may_not_grow_while_downloading(site: Site, tmp_path: Path) -> None:
    import resource

    site.upload()
    done = site.cxr(
        "download", str(tmp_path / "back"), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)
    )
    assert done.returncode == 1, done.stderr
    assert "File too large" in done.stderr
    left = {path.name for path in (tmp_path / "back").rglob("*")}
    assert "large0.png" not in left
    assert not any(name.endswith(".part") for name in left)
    assert site.cxr("download", str(tmp_path / "back")).returncode == 0


@pytest.mark.slow
def test_the_rate_is_held(site: Site) -> None:
    total = sum(path.stat().st_size for path in site.images.values())
    summary = site.upload("--max-rate", "5M", "--workers", "8")
    assert site.is_whole()
    assert summary["seconds"] >= 0.9 * total / 5e6
