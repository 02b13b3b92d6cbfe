"""What a machine does with its user data: run for real, with scripts in the place of the machine's programs."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest
from ec2_site import ON_DEMAND, SPOT, Site, ec2_options
from machine_sandbox import Sandbox, make_sandbox

from cxr.cloud.aws.ec2.machines import exit_record
from cxr.cloud.aws.ec2.user_data import MAXIMUM_BYTES, user_data
from cxr.cloud.trainer.job import CustomOptions
from cxr.cloud.trainer.wheel import WHEEL_NAME
from cxr.errors import UsageError

pytestmark = pytest.mark.slow

#: The container's python3: pip first, then the trainer, of which BODY is the work.
PROGRAM = f"""#!{sys.executable} -IS
import os, signal, sys, time
from pathlib import Path

root = Path(os.environ['SAGEMAKER_BASE_DIR'])
if sys.argv[2] == 'pip':
    wheel = Path(sys.argv[-1].partition('[')[0])
    assert wheel.read_bytes().startswith(b'PK'), wheel
    with (Path(os.environ['SANDBOX']) / 'installed').open('a') as installed:
        installed.write(' '.join(sys.argv[3:]) + '\\n')
    sys.exit(0)
assert sys.argv[1:3] == ['-m', 'cxr.local_baseline.trainer'], sys.argv
assert (root / 'input/data/training/manifest.json').is_file()
assert os.environ['TRAINING_JOB_NAME'].startswith('custom-')
print('told', ' '.join(sys.argv[3:]), flush=True)
BODY
"""
MODEL = """
(root / 'model/weights').mkdir(parents=True)
(root / 'model/bundle.json').write_text('{}')
(root / 'model/weights/one.bin').write_bytes(b'1')
(root / 'output/data/history.json').write_text('[]')
(root / 'checkpoints/cxr-0000000000000000-v1-000002-00000000.npz').write_bytes(b'whole')
(root / 'checkpoints/.half-written').write_bytes(b'half')
print('epoch 2/2', flush=True)
"""
HOLDS_ON = """
def end(*_):
    (root / 'checkpoints/cxr-0000000000000000-v1-000001-00000000.npz').write_bytes(b'last')
    print('told to end', flush=True)
    sys.exit(6)
signal.signal(signal.SIGTERM, end)
container = Path(os.environ['SANDBOX']) / 'container'
while not container.is_file() or not container.read_text():  # whom `docker stop` ends
    time.sleep(0.01)
(Path(os.environ['SANDBOX']) / 'training').touch()
time.sleep(300)
"""


@pytest.fixture
def machine(account_site: Site, tmp_path: Path) -> Callable[..., Sandbox]:
    def make(body: str, options: CustomOptions | None = None, **more: object) -> Sandbox:
        options = options or ec2_options(SPOT)
        sandbox = make_sandbox(tmp_path, account_site, PROGRAM.replace("BODY", body), options, **more)
        account_site.submit(sandbox.plan, options)
        return sandbox

    return make


def wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ended(sandbox: Sandbox) -> None:
    """What is true of every end: the hard stop came first, the shutdown last, after the log and the exit record."""
    assert sandbox.calls[0] == "shutdown -h +135"
    assert sandbox.calls[-1] == "shutdown -h now"
    assert sandbox.puts[-2:] == ["logs/trainer.log", "exit.json"]


def test_a_training_that_succeeds_leaves_its_bundle_and_shuts_the_machine_down(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(MODEL, ec2_options(SPOT, epochs=2, overrides=("name=it's; $(shutdown)",)))
    process = sandbox.run()
    assert process.returncode == 0, process.stderr
    ended(sandbox)
    model = [name for name in sandbox.puts if name.startswith("model/")]
    assert model == ["model/weights/one.bin", "model/bundle.json"], "bundle.json last"
    record = sandbox.exit_record
    assert (record["exit"], record["reason"], record["instance"]) == (0, "", "i-0sandbox")
    assert record["started"] <= record["ended"]
    url = f"{sandbox.site.connection.base_url}/jobs/{sandbox.plan.job_id}"
    assert exit_record(sandbox.site.connection, url) is not None
    assert "checkpoints/cxr-0000000000000000-v1-000002-00000000.npz" in sandbox.puts
    assert not any("half" in name for name in sandbox.puts)
    assert "output/history.json" in sandbox.puts


def test_the_trainer_gets_its_arguments_and_its_place_unspoilt(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(MODEL, ec2_options(SPOT, epochs=2, overrides=("name=it's; $(shutdown)",)))
    sandbox.run()
    manifest = sandbox.root / "input/data/training/manifest.csv"
    told = f"told --manifest {manifest} --recipe cnn5 --seed 7 --weights none --name gpu-cnn5 --epochs 2"
    assert f"{told} --set name=it's; $(shutdown)" in sandbox.log
    (run,) = [call for call in sandbox.calls if call.startswith("docker run")]
    assert "--gpus all" in run
    assert "--init" in run
    assert "--publish" not in run
    assert "docker.io/tensorflow/tensorflow" in run
    first, second = (sandbox.folder / "installed").read_text().splitlines()
    assert first.startswith("install --quiet --no-deps --force-reinstall /")  # whatever cxr the image has
    assert first.endswith(f"/trainer/{WHEEL_NAME}")
    assert second.endswith(f"/trainer/{WHEEL_NAME}[trainer,aws]")


def test_each_line_of_the_log_has_its_time(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(MODEL)
    sandbox.run()
    lines = sandbox.log.splitlines()
    assert all(line[:2] == "20" and line[10] == "T" and line[19:26] == "+00:00 " for line in lines)
    assert lines[0].endswith("at most 7200 s of training, shut down in 135 minutes")
    assert any(line.endswith(" epoch 2/2") for line in lines)
    assert lines[-1].endswith(" ended with status 0")


def test_a_trainer_that_fails_is_told_with_its_reason_and_the_machine_ends(machine: Callable[..., Sandbox]) -> None:
    failure = 'InputError: no "PNEUMONIA"\\n in C:\\\\images'
    sandbox = machine(f"(root / 'output/failure').write_text('''{failure}''')\nsys.exit(1)")
    assert sandbox.run().returncode == 1
    ended(sandbox)
    record = sandbox.exit_record
    assert (record["exit"], record["reason"]) == (1, 'InputError: no "PNEUMONIA"  in C:\\images')
    assert not [name for name in sandbox.puts if name.startswith("model/")]


def test_a_trainer_that_says_nothing_has_its_status_told(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine("sys.exit(137)")
    sandbox.run()
    ended(sandbox)
    assert sandbox.exit_record["reason"] == "the trainer exited with a non-zero status of 137"


def test_success_without_a_bundle_is_a_failure(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine("sys.exit(0)")
    sandbox.run()
    ended(sandbox)
    assert (sandbox.exit_record["exit"], sandbox.exit_record["reason"]) == (1, "the trainer left no bundle")


def test_an_image_that_cannot_be_fetched_ends_the_machine(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(MODEL)
    (sandbox.folder / "no-image").touch()
    sandbox.run()
    ended(sandbox)
    assert "could not be fetched" in sandbox.exit_record["reason"]
    assert len([call for call in sandbox.calls if call.startswith("docker pull")]) == 3


def test_inputs_that_are_not_there_end_the_machine(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(MODEL)
    key = f"{sandbox.site.folder(sandbox.plan)}/{WHEEL_NAME}"
    sandbox.site.s3.delete_object(Bucket=sandbox.site.connection.bucket, Key=key)
    sandbox.run()
    ended(sandbox)
    assert "its inputs could not be fetched" in sandbox.exit_record["reason"]


def test_a_bucket_that_cannot_be_written_does_not_keep_the_machine(machine: Callable[..., Sandbox]) -> None:
    sandbox = replace(machine(MODEL))
    (sandbox.folder / "bin" / "aws").write_text("#!/nowhere\n")
    assert sandbox.run().returncode != 0
    assert (sandbox.calls[0], sandbox.calls[-1]) == ("shutdown -h +135", "shutdown -h now")


def test_a_trainer_that_takes_too_long_is_ended(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(HOLDS_ON, ec2_options(SPOT, timeout_hours=1 / 60))
    script = user_data(sandbox.plan, sandbox.options)
    assert "TIMEOUT_SECONDS=60\n" in script
    assert "HARD_STOP_MINUTES=16\n" in script
    # Some seconds, in which the trainer has begun, instead of the minute that is the least.
    brief = replace(sandbox, options=replace(sandbox.options, timeout_hours=6 / 3600))
    brief.run()
    assert brief.calls[0] == "shutdown -h +16"
    assert brief.calls[-1] == "shutdown -h now"
    assert (brief.exit_record["exit"], brief.exit_record["reason"]) == (124, "it ran longer than its timeout")
    assert "checkpoints/cxr-0000000000000000-v1-000001-00000000.npz" in brief.puts


def test_a_spot_machine_that_is_taken_back_sends_its_last_checkpoint(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(HOLDS_ON)
    process = sandbox.start()
    wait_until((sandbox.folder / "training").exists)
    (sandbox.folder / "taken-back").touch()
    process.communicate(timeout=300)
    ended(sandbox)
    assert (sandbox.exit_record["exit"], sandbox.exit_record["reason"]) == (6, "the spot machine was taken back")
    assert "checkpoints/cxr-0000000000000000-v1-000001-00000000.npz" in sandbox.puts
    assert "told to end" in sandbox.log
    assert "docker stop --time 60 trainer" in sandbox.calls


def test_on_demand_machines_ask_for_no_notice(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(MODEL, ec2_options(replace(ON_DEMAND, gpus=0, accelerator=None)))
    (sandbox.folder / "taken-back").touch()
    sandbox.run()
    assert sandbox.exit_record["exit"] == 0
    assert not any("--gpus" in call for call in sandbox.calls)


def test_a_machine_that_is_told_to_end_says_so(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(HOLDS_ON)
    process = sandbox.start()
    wait_until((sandbox.folder / "training").exists)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert (sandbox.calls[0], sandbox.calls[-1]) == ("shutdown -h +135", "shutdown -h now")
    assert (sandbox.exit_record["exit"], sandbox.exit_record["reason"]) == (143, "the machine was told to end")


def test_the_log_is_sent_while_the_trainer_works(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(HOLDS_ON)
    process = sandbox.start()
    key = f"{sandbox.site.folder(sandbox.plan)}/logs/trainer.log"
    wait_until(lambda: bool(sandbox.site.keys(key)) and "told --manifest" in sandbox.log)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)


def test_checkpoints_of_an_earlier_attempt_are_there_before_the_trainer_begins(
    machine: Callable[..., Sandbox], account_site: Site
) -> None:
    url = f"{account_site.connection.base_url}/jobs/custom-0123456789/checkpoints"
    account_site.put("cxr/jobs/custom-0123456789/checkpoints/cxr-0-v1-000001-00000000.npz", b"state")
    sandbox = machine("print(sorted(os.listdir(root / 'checkpoints')), flush=True)" + MODEL, resume_from=url, attempt=2)
    sandbox.run()
    assert "['cxr-0-v1-000001-00000000.npz']" in sandbox.log
    assert sandbox.exit_record["exit"] == 0


def test_a_machine_without_amazon_s_command_takes_its_container(machine: Callable[..., Sandbox]) -> None:
    sandbox = machine(MODEL)
    (sandbox.folder / "bin" / "aws").unlink()
    sandbox.run()
    assert any("amazon/aws-cli s3 cp" in call for call in sandbox.calls)
    assert sandbox.exit_record["exit"] == 0
    assert sandbox.calls[-1] == "shutdown -h now"


def test_the_script_is_bash_and_its_parameters_stand_quoted_at_its_top(account_site: Site) -> None:
    odd = 'name=`id` "\'$HOME" ü'
    options = ec2_options(SPOT, overrides=(odd,))
    script = user_data(account_site.plan(options), options)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    head, _, body = script.partition("set -uo pipefail\n")
    assert shlex.split(head.splitlines()[-1].removeprefix("TRAINER_ARGUMENTS=(").removesuffix(")"))[-1] == odd
    first = next(line for line in body.splitlines() if not line.startswith("#"))
    assert first.startswith('shutdown -h "+$HARD_STOP_MINUTES"'), "before everything else"
    assert body == files("cxr.cloud.aws.ec2").joinpath("user_data.sh").read_text().partition("pipefail\n")[2]


def test_a_script_that_ec2_would_not_take_is_refused(account_site: Site) -> None:
    options = ec2_options(SPOT)
    plan = account_site.plan(options)
    assert len(user_data(plan, options).encode()) < MAXIMUM_BYTES / 2
    many = replace(options, overrides=tuple(f"name={'x' * 100}{n}" for n in range(100)))
    with pytest.raises(UsageError, match="16,384"):
        user_data(plan, many)
