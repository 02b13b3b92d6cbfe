"""One suite for every cloud behind the `Provider` protocol.

By default it is run against both servers of this machine: the emulator, which stands for Google, and moto's server with
our runner, which stands for Amazon. `CXR_CONTRACT_ON=gcp` or `CXR_CONTRACT_ON=aws` runs it against a real account
instead, in the place that CXR_PROJECT, CXR_REGION, CXR_BUCKET and CXR_ROLE name, under a prefix of its own that is
cleaned up at the end. That COSTS MONEY: some ten jobs of a few minutes on the usual machine, and two AutoML
trainings. What scripts failures, or needs a server's process, is skipped there. The bucket has to exist already.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "cloud"))
pytest.importorskip("tensorflow", reason='needs the extra: pip install "cxr[train]"')

from provider_place import CLOUDS, start
from provider_site import Site

from cxr.cloud.connection import connect
from cxr.cloud.jobs.journal import Job
from cxr.manifests.manifest import Manifest
from cxr.manifests.manifest_file import write_manifest
from cxr.manifests.sample import draw_sample
from cxr.manifests.scan.folder import scan
from cxr.manifests.splits.split import make_validation
from cxr.settings import Settings, Target, load_settings

REAL = os.environ.get("CXR_CONTRACT_ON", "")
TARGETS = [Target(REAL)] if REAL else list(CLOUDS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that has a site is run on each cloud."""
    if "target" in metafunc.fixturenames:
        metafunc.parametrize("target", TARGETS, ids=[str(one) for one in TARGETS], scope="session", indirect=True)


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """Which cloud; skips where its packages are not installed."""
    chosen: Target = request.param
    if chosen in CLOUDS and (missing := CLOUDS[chosen].missing):
        pytest.skip(f"{', '.join(missing)} not installed")
    return chosen


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Sixty drawn radiographs."""
    folder = tmp_path_factory.mktemp("contract-data")
    draw_sample(folder / "images", images=60, seed=3)
    return write_manifest(make_validation(scan(folder / "images")), folder / "manifest.csv")


@pytest.fixture(scope="session")
def site(target: Target, manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A working folder on a cloud with the manifest uploaded."""
    folder = tmp_path_factory.mktemp(f"contract-{target}")
    if REAL:
        settings = replace(load_settings(), on=target, prefix=f"cxr-contract-{uuid.uuid4().hex[:8]}")
    else:
        settings = Settings(on=target, bucket="cxr-contract")
    settings = replace(settings, state_dir=folder / ".cxr")
    cloud = CLOUDS.get(target)
    try:
        if cloud is not None:
            start(cloud, settings)
        opened = Site(folder, settings, connect(settings), manifest, cloud)
        opened.upload()
        write_manifest(manifest, folder / "manifest.csv")
        yield opened
        if cloud is None:
            for one in [*opened.besides, opened]:
                one.cxr("cloud", "clean", "--all", "--images", "--yes")
    finally:
        if cloud is not None:
            cloud.process.stop(cloud.state(settings), deadline_seconds=240)


@pytest.fixture
def scripted(site: Site) -> Site:
    """The site, where it is a server of this machine, which can be told to misbehave."""
    if site.cloud is None:
        pytest.skip("a real account cannot be told to misbehave")
    return site


@pytest.fixture(scope="session")
def trained(site: Site) -> Job:
    """A training that has ended well."""
    job = site.ended(site.launch(1).job)
    assert job.state == "SUCCEEDED", job.error
    return job
