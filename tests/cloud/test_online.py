"""`cxr cloud evaluate --predict online`: an endpoint is there, and billed, for as long as it is needed."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys

import pytest
from service_site import Site, wait_until

from cxr.bundle import ModelFormat, read_bundle
from cxr.cloud.journal import Job
from cxr.cloud.serving import ONLINE
from cxr.cloud.vertex.clients import endpoint_client
from cxr.cloud.vertex.endpoints import begin_endpoint, find_endpoint


@pytest.fixture(scope="module")
def cloud(site: Site) -> Job:
    return site.automl("cloud", 8)


def online(job: Job, *more: str) -> tuple[str, ...]:
    return ("cloud", "evaluate", job.id, "--predict", "online", "-m", "manifest.csv", *more)


def endpoints(site: Site) -> list[str]:
    found = endpoint_client(site.connection).list_endpoints(parent=site.connection.parent)
    return [endpoint.name for endpoint in found]


def test_nothing_is_deployed_before_the_hourly_price_is_agreed_to(site: Site, cloud: Job) -> None:
    assert site.cxr(*online(cloud)).code == 2  # nobody said yes
    assert site.cxr(*online(cloud, "--max-cost", "0.1", "--yes")).code == 3
    planned = site.cxr(*online(cloud, "--dry-run"))
    assert (planned.code, "1.375 USD an hour" in planned.stdout) == (0, True)
    assert endpoints(site) == []


def test_the_endpoint_is_removed_after_the_images_are_scored(site: Site, cloud: Job) -> None:
    ended = site.cxr(*online(cloud, "--out", "online", "--yes", "--json"))
    assert ended.code == 0, ended.stderr
    assert endpoints(site) == []
    bundle = read_bundle(site.folder / "online")
    assert (bundle.info.format, bundle.info.provenance["predicted"]) == (ModelFormat.PREDICTIONS, "online")
    rows = list(csv.DictReader((site.folder / "online" / "predictions" / "predictions.csv").open()))
    assert [row["path"] for row in rows] == list(site.manifest.split("test")["path"])
    assert ONLINE not in site.journal.find(cloud.id).details
    assert "removing the endpoint" in ended.stderr


def test_a_failure_on_the_way_removes_the_endpoint_too(site: Site, cloud: Job) -> None:
    with site.faults({"path": ":predict", "action": "status", "status": 403, "times": 1}):
        ended = site.cxr(*online(cloud, "--out", "failed", "--yes"))
    assert ended.code == 3
    assert endpoints(site) == []
    assert not (site.folder / "failed").exists()


def test_a_service_that_is_away_for_a_moment_is_asked_again(site: Site, cloud: Job) -> None:
    with site.faults({"path": ":predict", "action": "status", "status": 503, "times": 2}):
        assert site.cxr(*online(cloud, "--out", "again", "--yes")).code == 0


def test_what_cannot_be_removed_is_told_with_its_price_and_the_command(site: Site, cloud: Job) -> None:
    with site.faults({"path": ":undeployModel", "action": "status", "status": 403}):
        ended = site.cxr(*online(cloud, "--out", "stuck", "--yes"))
    assert ended.code == 1
    (name,) = endpoints(site)
    assert name in ended.stderr
    assert "1.375 USD an hour" in ended.stderr
    assert site.journal.find(cloud.id).details[ONLINE]["endpoint"] == name
    assert f"cxr cloud evaluate {cloud.id} --remove-endpoint" in ended.stderr
    removed = site.cxr("cloud", "evaluate", cloud.id, "--remove-endpoint", "--yes")
    assert (removed.code, endpoints(site)) == (0, [])


def test_an_endpoint_that_is_kept_is_used_again_and_removed_on_request(site: Site, cloud: Job) -> None:
    kept = site.cxr(*online(cloud, "--out", "kept", "--yes", "--keep"))
    assert kept.code == 0, kept.stderr
    (name,) = endpoints(site)
    assert f"{name} is still there, for 1.375 USD an hour" in kept.stderr
    site.cxr(*online(cloud, "--out", "kept", "--yes", "--keep"))
    assert endpoints(site) == [name]
    assert site.cxr("cloud", "evaluate", cloud.id, "--remove-endpoint", "--yes").code == 0
    assert endpoints(site) == []
    nothing = site.cxr("cloud", "evaluate", cloud.id, "--remove-endpoint", "--yes")
    assert (nothing.code, "there is no endpoint" in nothing.stderr) == (0, True)


def test_an_endpoint_of_a_process_that_died_before_the_journal_is_found_by_its_label(site: Site, cloud: Job) -> None:
    begun = begin_endpoint(site.connection, cloud.id, {"cxr-run": cloud.id})
    ended = site.cxr(*online(cloud, "--out", "found", "--yes"))
    assert ended.code == 0, ended.stderr
    assert "making an endpoint" not in ended.stderr
    assert endpoints(site) == []
    assert begun.name


def test_ctrl_c_removes_the_endpoint_and_says_how_to_go_on(site: Site, cloud: Job) -> None:
    command = [*online(cloud, "--out", "unfinished", "--yes"), "--state-dir", str(site.settings.state_dir)]
    with site.faults({"path": ":predict", "action": "latency", "seconds": 1}):
        process = subprocess.Popen(
            [sys.executable, "-m", "cxr", *command], cwd=site.folder, stderr=subprocess.PIPE, text=True
        )

        def deployed() -> bool:
            found = find_endpoint(site.connection, cloud.id)
            return found is not None and bool(found.deployed)

        wait_until(deployed)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 6, said
    assert endpoints(site) == []
    assert f"cxr cloud evaluate {cloud.id} --predict online" in said
    assert not (site.folder / "unfinished").exists()
