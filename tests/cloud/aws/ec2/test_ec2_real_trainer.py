"""The real trainer on a machine of our own: from user data to a bundle that can be opened."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ec2_site import SPOT, Site, ec2_options
from machine_sandbox import Sandbox, make_sandbox

import cxr
from cxr.bundle import read_bundle
from cxr.cloud.aws.ec2 import engine
from cxr.cloud.aws.trainings import plan_custom
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan
from cxr.manifests.splits.split import make_validation

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: The container's python3: what pip would install is there already.
PYTHON = f"""#!/bin/sh
[ "$2" = pip ] || exec {sys.executable} "$@"
"""


def test_the_real_trainer_leaves_a_bundle_that_can_be_opened(account_site: Site, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason='needs the extra: pip install "cxr[train]"')
    draw_sample(tmp_path / "images", images=60, seed=3)
    manifest = make_validation(scan(tmp_path / "images"))
    for name in manifest.frame["path"]:
        account_site.put(f"cxr/images/{name}", (tmp_path / "images" / name).read_bytes())
    options = ec2_options(SPOT, epochs=1, overrides=("batch_size=8",))
    plan = plan_custom(account_site.connection, manifest, options)
    resource = engine.submit(plan, manifest, options, on_step=lambda _: None).resource
    machine: Sandbox = replace(make_sandbox(tmp_path / "machine", account_site, PYTHON, options), plan=plan)
    keys = "AWS_ACCESS_KEY_ID=nobody\nAWS_SECRET_ACCESS_KEY=nobody\n"
    place = f"AWS_ENDPOINT_URL={account_site.connection.endpoint}\nPYTHONPATH={Path(cxr.__file__).parents[1]}\n"
    (machine.folder / "container-environment").write_text(keys + place + f"HOME={tmp_path}\nTMPDIR={tmp_path}\n")
    ended = machine.run()
    assert ended.returncode == 0, machine.log
    assert machine.puts[-2:] == ["logs/trainer.log", "exit.json"]
    seen = engine.look(account_site.connection, resource)
    assert seen.state == "SUCCEEDED"
    job = account_site.job(plan, resource)
    store = account_site.connection.open(engine.model_output(account_site.connection, job).url)
    for info in store.list():
        store.get_file(info.name, tmp_path / "bundle" / info.name)
    assert read_bundle(tmp_path / "bundle").info.name == "gpu-cnn5"
    assert any("epoch 1/1" in line.text for line in engine.log_lines(account_site.connection, job))
    assert any(name.startswith("checkpoints/cxr-") for name in machine.puts)
