"""moto's server with an account for instances (moto keeps one state a process), and a bucket for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("boto3", reason='needs the extra: pip install "cxr[aws]"')
pytest.importorskip("moto.server", reason="needs moto[s3,server] of the dev group")

from ec2_site import Site, new_site, open_account


@pytest.fixture(scope="session")
def account() -> Iterator[str]:
    with open_account() as origin:
        yield origin


@pytest.fixture
def account_site(account: str) -> Site:
    return new_site(account)
