"""Jobs of every kind, started elsewhere, attached and followed to their end; on one emulator, with the real SDK."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from interruptible import CXR
from job_site import MEASURE, SCORER, STAND_IN, JobSite, wait_until

from cxr.cloud.connection import connect
from cxr.cloud.emulator.process import ensure_running, stop
from cxr.cloud.vertex.clients import job_client
from cxr.settings import Settings
from cxr.storage.buckets import create_private_bucket

FOREVER = "exec sleep 600"
HASH = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobSite]:
    folder = tmp_path_factory.mktemp("following")
    settings = Settings(state_dir=folder / ".cxr")
    ensure_running(settings.emulator_dir, idle_exit_seconds=300, max_running_jobs=8, stand_in=STAND_IN, scorer=SCORER)
    connection = connect(settings)
    create_private_bucket(
        connection.bucket, region=connection.region, endpoint=connection.endpoint, project=connection.project
    )
    yield JobSite(folder, connection)
    stop(settings.emulator_dir)


@pytest.fixture(autouse=True)
def no_faults(site: JobSite) -> Iterator[None]:
    yield
    site.emulator("faults")
    site.emulator("outcomes")


def attached(site: JobSite, resource: str) -> str:
    said = site.cxr("attach", resource, "--json")
    assert said.code == 0, said.err
    return str(said.data["jobs"][0]["id"])


def test_a_job_started_elsewhere_is_followed_to_its_failure(site: JobSite) -> None:
    script = "echo 'epoch 3/10 loss 0.5'; echo the images are too dark >&2; exit 3"
    job = attached(site, site.custom(script, labels={"team": "radiology"}))
    said = site.cxr("wait", job)
    assert said.code == 4
    assert said.error is not None
    assert "the program in the container failed (exit status 3)" in said.error.message
    assert "The replica workerpool0-0 exited with a non-zero status of 3" in said.error.message
    assert said.error.hint == f"see the whole log: cxr cloud logs {job} --state-dir {site.state_dir}"
    assert "the images are too dark" in said.err  # the last lines of its log
    logs = site.cxr("logs", job)
    assert "epoch 3/10" in logs.out
    status = site.cxr("status", job, "--json").data["job"]
    assert status["why"]["cause"] == "program"
    assert status["details"]["machine"] == "g2-standard-4"
    assert 0 <= status["cost_usd"] <= status["worst_case_usd"]


def test_a_running_job_tells_its_epoch_and_a_bare_id_will_do(site: JobSite) -> None:
    resource = site.custom(f"echo 'epoch 2/5 loss 0.5'; {FOREVER}")
    number = resource.rsplit("/", 1)[-1]
    job = site.cxr("attach", number, "--kind", "custom", "--json").data["jobs"][0]
    assert job["id"] == f"custom-{number}"
    assert job["left_is_at_most"]  # by the timeout, as long as nothing better is known
    wait_until(lambda: "epoch 2/5" in site.cxr("logs", job["id"]).out)
    told = site.cxr("status", job["id"], "--json").data["job"]
    assert (told["progress"]["epoch"], told["progress"]["epochs"], told["left_is_at_most"]) == (2, 5, False)
    assert site.cxr("cancel", job["id"], "--yes").code == 0
    said = site.cxr("wait", job["id"])
    assert said.code == 4
    assert said.error is not None
    assert "it was cancelled" in said.error.message
    assert "has ended already" in site.cxr("cancel", job["id"], "--yes").err


def test_several_jobs_are_waited_for_at_once(site: JobSite) -> None:
    end = site.folder / "end-slow"
    slow = attached(site, site.custom(f"while [ ! -e {end} ]; do sleep 0.1; done"))
    quick = attached(site, site.custom("true"))

    def end_the_slow_one_when_the_quick_one_was_seen() -> None:
        wait_until(lambda: site.journal.find(quick).finished)
        end.touch()

    ender = threading.Thread(target=end_the_slow_one_when_the_quick_one_was_seen)
    ender.start()
    said = site.cxr("wait", slow, quick, "--json")
    ender.join()
    assert said.code == 0
    assert [(job["id"], job["state"]) for job in said.data["jobs"]] == [(slow, "SUCCEEDED"), (quick, "SUCCEEDED")]


def test_a_tuning_job_tells_its_trials_and_their_logs(site: JobSite) -> None:
    script = "echo from trial $CLOUD_ML_TRIAL_ID; " + MEASURE
    job = attached(site, site.tuning(script, trials=3))
    said = site.cxr("wait", job)
    assert said.code == 0, said.error
    assert "3 of 3 trials, best val_auc 0.83 (trial 3)" in said.err
    both = site.cxr("logs", job)
    assert {"from trial 1", "from trial 3"} <= {line.rpartition("] ")[2] for line in both.out.splitlines()}
    one = site.cxr("logs", job, "--trial", "2")
    assert re.findall(r"\[trial (\d)\] from trial (\d)", one.out) == [("2", "2")]


@pytest.mark.slow
def test_automl_batch_and_import_are_followed_like_the_others(site: JobSite) -> None:
    gone = f"test,{site.connection.images_url}/gone.jpeg,NORMAL\n"
    dataset, operation = site.importing(more=gone)
    imported = attached(site, operation.operation.name)
    assert site.cxr("wait", imported).code == 0
    told = site.cxr("status", imported, "--json").data["job"]
    assert (told["kind"], told["state"], len(told["progress"]["failures"])) == ("import", "SUCCEEDED", 1)
    assert "gone.jpeg" in told["progress"]["failures"][0]
    assert site.cxr("logs", imported).code == 2

    pipeline, model = site.automl(dataset)
    trained = attached(site, pipeline)
    told = site.cxr("status", trained, "--json").data["job"]
    assert (told["state"], told["model"], told["details"]["model_type"]) == ("SUCCEEDED", model, "cloud")
    assert told["cost_usd"] <= told["worst_case_usd"] == pytest.approx(8 * 3.465)
    said = site.cxr("logs", trained)
    assert said.code == 2
    assert said.error is not None
    assert "no logs of AutoML jobs" in said.error.message
    assert "console.cloud.google.com" in str(said.error.hint)

    predicted = attached(site, site.batch(model, images=3))
    assert site.cxr("wait", predicted).code == 0
    told = site.cxr("status", predicted, "--json").data["job"]
    assert told["progress"]["items_done"] == 3
    assert "/predictions/batch-1/prediction-" in told["progress"]["output_directory"]


def test_an_automl_job_that_fails_for_want_of_images_says_so(site: JobSite) -> None:
    message = "At least 10 images of each label are needed."
    rule = {"resource": "trainingPipelines", "outcome": "fail", "seconds": 0, "code": "INVALID_ARGUMENT"}
    site.emulator("outcomes", {"rules": [{**rule, "message": message, "times": 1}]})
    job = attached(site, site.pipeline(site.dataset()))
    said = site.cxr("wait", job)
    assert said.code == 4
    assert said.error is not None
    assert "too few images" in said.error.message
    assert message in said.error.message
    assert "cxr data check" in str(said.error.hint)
    assert site.cxr("status", job, "--json").data["job"]["cost_usd"] == 0  # a failed training is not billed


def test_what_carries_the_label_and_is_not_in_the_journal_is_found(site: JobSite, tmp_path: Path) -> None:
    labels = {"cxr-run": "custom-00000000aa", "cxr-manifest": HASH[:32]}
    tuned = {"cxr-run": "tune-00000000bb", "cxr-manifest": HASH[:32]}
    site.custom("true", labels=labels, out=f"{site.connection.base_url}/jobs/custom-00000000aa")
    site.tuning("true", labels=tuned, trials=1)
    site.put("jobs/custom-00000000aa/manifest.json", f'{{"content_hash": "{HASH}"}}'.encode())
    found = site.cxr("attach", "--all", "--json")
    ids = {job["id"]: job for job in found.data["jobs"]}
    # The trial of the tuning job, a custom job with the same labels, is no job of its own.
    assert set(ids) == {"custom-00000000aa", "tune-00000000bb"}
    assert ids["custom-00000000aa"]["manifest_hash"] == HASH
    assert ids["custom-00000000aa"]["attached"]
    assert site.cxr("attach", "--all", "--json").data["jobs"] == []


def test_a_launch_that_never_heard_its_answer_is_healed_by_the_label(site: JobSite) -> None:
    journal = site.journal
    done = attached(site, site.custom("true"))
    lost = journal.add(replace_id(journal.find(done), "custom-00000000cc"))
    site.custom("true", labels={"cxr-run": lost.id})
    assert site.cxr("cancel", lost.id, "--yes").code == 2
    said = site.cxr("attach", "--all", "--json")
    assert [job["id"] for job in said.data["jobs"]] == [lost.id]
    assert journal.find(lost.id).resource


def replace_id(job, new_id):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    return replace(job, id=new_id, resource="", state="INTENDED", ended="", attached=False)


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("123", [], "its kind is not said"),
        ("projects/p/locations/us-central1/endpoints/1", [], "is not the name of a job"),
        ("projects/p/locations/us-central1/customJobs/1", ["--kind", "tune"], "is no tune job"),
        ("123", ["--kind", "import"], "there is no kind of job"),
        ("projects/p/locations/us-central1/customJobs/404", [], "there is no such thing"),
    ],
)
def test_what_cannot_be_attached_is_said(site: JobSite, name: str, more: list[str], words: str) -> None:
    said = site.cxr("attach", name, *more)
    assert said.code == 2
    assert said.error is not None
    assert words in said.error.message


def test_a_quota_or_an_outage_in_the_middle_is_waited_out(site: JobSite) -> None:
    job = attached(site, site.custom("sleep 1"))
    rules = [
        {"operation": "aiplatform.customJobs.get", "action": "status", "status": status, "times": 1}
        for status in (429, 503)
    ]
    site.emulator("faults", {"rules": rules})
    said = site.cxr("wait", job)
    assert said.code == 0, said.error
    assert said.err.count("asking again") == 1  # one outage, told once


def test_credentials_that_run_out_end_the_wait_and_lose_nothing(site: JobSite) -> None:
    job = attached(site, site.custom(FOREVER))
    site.emulator("faults", {"rules": [{"operation": "aiplatform.customJobs.get", "action": "status", "status": 401}]})
    said = site.cxr("wait", job)
    assert said.code == 3
    assert said.error is not None
    assert str(said.error.hint).startswith("log in again: gcloud auth application-default login")
    assert str(said.error.hint).endswith(f"then go on: cxr cloud wait {job} --state-dir {site.state_dir}")
    site.emulator("faults")
    assert site.cxr("cancel", job, "--yes").code == 0
    assert site.cxr("wait", job).code == 4


@pytest.mark.slow
def test_a_killed_wait_is_taken_up_by_another_process(site: JobSite) -> None:
    job = attached(site, site.custom(f"while [ ! -e {site.folder}/end ]; do sleep 0.1; done"))
    command = [*CXR, "cloud", "wait", job, "--state-dir", str(site.state_dir)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert job in waiting.stderr.readline()  # it has seen the job
        os.kill(waiting.pid, signal.SIGKILL)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as again:
        assert again.stderr is not None
        assert "RUNNING" in again.stderr.readline()
        again.send_signal(signal.SIGINT)
        left = again.stderr.read()
        assert again.wait(300) == 6
    assert f"{job} goes on without this program" in left
    assert f"next: cxr cloud wait {job}" in left
    (site.folder / "end").touch()
    assert site.cxr("wait", job).code == 0


def test_a_followed_log_ends_with_its_job_and_shows_each_line_once(site: JobSite) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 0.4; done"
    job = attached(site, site.custom(script))
    said = site.cxr("logs", job, "--follow")
    assert [line.rpartition("  ")[2] for line in said.out.splitlines()] == ["line 1", "line 2", "line 3"]
    assert f"{job}: SUCCEEDED" in said.err


@pytest.mark.parametrize(
    ("outcome", "cause", "words"),
    [
        ({"outcome": "stockout", "seconds": 0}, "stock-out", "no L4 is left in us-central1"),
        (
            {
                "outcome": "fail",
                "seconds": 0,
                "code": "RESOURCE_EXHAUSTED",
                "message": "The following quota metrics exceed quota limits: "
                "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus",
            },
            "quota",
            "quota custom_model_training_nvidia_l4_gpus is used up",
        ),
    ],
    ids=["stock-out", "quota"],
)
def test_a_scripted_failure_is_put_into_plain_words(site: JobSite, outcome: dict, cause: str, words: str) -> None:  # type: ignore[type-arg]
    site.emulator("outcomes", {"rules": [{"resource": "customJobs", "times": 1, **outcome}]})
    job = attached(site, site.custom(FOREVER))
    said = site.cxr("wait", job, "--json")
    assert said.code == 4
    assert said.error is not None
    assert words in said.error.message
    assert said.data["jobs"][0]["why"]["cause"] == cause


def test_the_list_of_jobs_asks_only_when_told_to(site: JobSite) -> None:
    end = site.folder / "end-unasked"
    resource = site.custom(f"while [ ! -e {end} ]; do sleep 0.1; done")
    job, client = attached(site, resource), job_client(site.connection)
    end.touch()
    wait_until(lambda: client.get_custom_job(name=resource).state.name == "JOB_STATE_SUCCEEDED")
    assert {"id": job, "state": "SUCCEEDED"} not in states(site)
    assert {"id": job, "state": "SUCCEEDED"} in states(site, "--refresh")
    assert {"id": job, "state": "SUCCEEDED"} in states(site)
    assert "USD at most" in site.cxr("jobs").out


def states(site: JobSite, *options: str) -> list[dict[str, str]]:
    said = site.cxr("jobs", "--json", *options)
    return [{"id": one["id"], "state": one["state"]} for one in said.data["jobs"]]
