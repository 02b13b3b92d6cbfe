"""`cxr cloud evaluate --predict online`: an endpoint is there, and billed, for as long as it is needed."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
from typing import Any

import pytest
from interruptible import CXR
from service_site import Site, wait_until

from cxr.bundle import ModelFormat, read_bundle
from cxr.cloud.jobs.journal import Job
from cxr.cloud.predicting.online import ONLINE
from cxr.cloud.signals import heard_as_ctrl_c
from cxr.cloud.vertex.clients import endpoint_client
from cxr.cloud.vertex.endpoints import begin_endpoint, cancel_quietly, find_endpoint
from cxr.locks import only_one


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


@pytest.mark.parametrize(
    "rule",
    [
        {"path": ":undeployModel", "action": "status", "status": 503, "times": 1},
        {"path": ":undeployModel", "action": "status", "status": 429, "times": 1},
        {"path": ":undeployModel", "action": "reset", "after": True, "times": 1},
        {"path": "endpoints/", "method": "DELETE", "action": "status", "status": 429, "times": 1},
    ],
    ids=["undeploy-503", "undeploy-429", "undeploy-answer-lost", "delete-429"],
)
def test_a_removal_that_is_refused_for_a_moment_is_tried_again(site: Site, cloud: Job, rule: dict[str, Any]) -> None:
    with site.faults(rule):
        ended = site.cxr(*online(cloud, "--out", "refused", "--yes"))
    assert (ended.code, endpoints(site)) == (0, []), ended.stderr
    assert "asking again" in ended.stderr


def test_an_endpoint_that_is_empty_and_stays_is_said_to_cost_nothing(site: Site, cloud: Job) -> None:
    with site.faults({"path": "endpoints/", "method": "DELETE", "action": "status", "status": 403}):
        ended = site.cxr(*online(cloud, "--out", "empty", "--yes"))
    assert (ended.code, "nothing is deployed to it and it costs nothing" in ended.stderr) == (1, True)
    assert read_bundle(site.folder / "empty").info.provenance["job"] == cloud.id
    assert site.cxr("cloud", "evaluate", cloud.id, "--remove-endpoint", "--yes").code == 0
    assert endpoints(site) == []


def test_every_endpoint_with_the_jobs_label_is_removed(site: Site, cloud: Job) -> None:
    for _ in range(2):
        begin_endpoint(site.connection, cloud.id, {"cxr-run": cloud.id})
    assert len(endpoints(site)) == 2
    removed = site.cxr("cloud", "evaluate", cloud.id, "--remove-endpoint", "--yes", "--json")
    assert (removed.code, len(removed.document["endpoints"]), endpoints(site)) == (0, 2, [])


def test_an_endpoint_that_another_program_uses_is_left_alone(site: Site, cloud: Job) -> None:
    with only_one(site.journal.path.parent, f"online-{cloud.id}"):
        for ended in (
            site.cxr(*online(cloud, "--out", "second", "--yes")),
            site.cxr("cloud", "evaluate", cloud.id, "--remove-endpoint", "--yes"),
        ):
            assert (ended.code, "another program of this folder is using the endpoint" in ended.stderr) == (2, True)
    assert endpoints(site) == []


def test_what_would_stop_it_in_the_end_stops_it_before_anything_is_billed(site: Site, cloud: Job) -> None:
    (site.folder / "afile").write_text("x")
    image = site.folder / "images" / next(iter(site.manifest.split("test")["path"]))
    kept = image.read_bytes()
    refused = [site.cxr(*online(cloud, "--out", where, "--yes")) for where in ("afile", "afile/below", ".")]
    refused.append(site.cxr(*online(cloud, "--images", "nowhere", "--yes")))
    refused.append(site.cxr(*online(cloud, "--remove-endpoint", "--yes")))
    try:
        image.unlink()
        refused.append(site.cxr(*online(cloud, "--yes")))
        image.write_bytes(kept + b"x")
        refused.append(site.cxr(*online(cloud, "--yes")))
    finally:
        image.write_bytes(kept)
    assert [(one.code, "endpoint\n" in one.stderr) for one in refused] == [(2, False)] * 7
    assert "--images nowhere is no folder" in refused[3].stderr
    assert "is not the image that was scanned" in refused[6].stderr


def test_a_cancellation_that_cannot_be_delivered_is_no_error(site: Site) -> None:
    with site.faults({"path": ":cancel", "action": "reset"}):
        cancel_quietly(site.connection, f"{site.connection.parent}/operations/1")


def test_what_cannot_be_removed_is_told_with_its_price_and_the_command(site: Site, cloud: Job) -> None:
    with site.faults({"path": ":undeployModel", "action": "status", "status": 403}):
        ended = site.cxr(*online(cloud, "--out", "stuck", "--yes"))
    assert ended.code == 1
    (name,) = endpoints(site)
    assert name in ended.stderr
    assert "1.375 USD an hour" in ended.stderr
    assert site.journal.find(cloud.id).details[ONLINE]["endpoint"] == name
    hint = f"  next: cxr cloud evaluate {cloud.id} --remove-endpoint --state-dir {site.settings.state_dir}"
    assert hint in ended.stderr
    assert read_bundle(site.folder / "stuck").info.provenance["job"] == cloud.id  # it was paid for
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
    begin_endpoint(site.connection, cloud.id, {"cxr-run": cloud.id})
    assert len(endpoints(site)) == 1
    ended = site.cxr(*online(cloud, "--out", "found", "--yes"))
    assert ended.code == 0, ended.stderr
    assert "making an endpoint" not in ended.stderr
    assert endpoints(site) == []


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_heard_once_and_the_handler_comes_back(sent: signal.Signals) -> None:
    outside = signal.signal(sent, signal.SIG_DFL)  # under nohup it is ignored, and stays so
    try:
        with heard_as_ctrl_c():
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), sent)
            os.kill(os.getpid(), sent)  # a closed terminal sends several
        with heard_as_ctrl_c() as do_not_hear:
            do_not_hear()
            os.kill(os.getpid(), sent)
        assert signal.getsignal(sent) is signal.SIG_DFL
    finally:
        signal.signal(sent, outside)


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGHUP])
def test_ctrl_c_and_a_closed_terminal_remove_the_endpoint_and_say_how_to_go_on(
    site: Site, cloud: Job, sent: signal.Signals
) -> None:
    command = [*online(cloud, "--out", "unfinished", "--yes"), "--state-dir", str(site.settings.state_dir)]
    with site.faults({"path": ":predict", "action": "latency", "seconds": 1}):
        process = subprocess.Popen([*CXR, *command], cwd=site.folder, stderr=subprocess.PIPE, text=True)

        def deployed() -> bool:
            found = find_endpoint(site.connection, cloud.id)
            return found is not None and bool(found.deployed)

        wait_until(deployed)
        process.send_signal(sent)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 6, said
    assert endpoints(site) == []
    assert f"cxr cloud evaluate {cloud.id} --predict online" in said
    assert not (site.folder / "unfinished").exists()
