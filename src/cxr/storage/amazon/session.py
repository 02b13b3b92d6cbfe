"""Clients of Amazon's services, each pointed to one region and, where a server stands for Amazon, to that."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cxr.errors import InputError, missing_package
from cxr.storage.amazon.errors import s3_errors

#: What a server on this machine is shown: it asks for a signature, and the user's own keys are none of its business.
LOCAL_KEYS: Final = {"aws_access_key_id": "cxr-local", "aws_secret_access_key": "cxr-local"}
#: In botocore's form: name in the configuration, environment's variable, default, conversion.
_NOTHING_OF_THE_USERS: Final = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


@dataclass(frozen=True, slots=True)
class AwsPlace:
    """Where requests go: `region` (None: as boto3 finds it), `endpoint` (the origin of a server that stands for Amazon;
    None: AWS_ENDPOINT_URL, and without that Amazon's own). `local`: a server on this machine, which never gets to see
    the user's credentials."""

    region: str | None = None
    endpoint: str | None = None
    local: bool = False


def aws_client(service: str, place: AwsPlace, config: Any) -> Any:
    """A boto3 client; `config` is a botocore Config. Raises MissingPackage without boto3, InputError for an endpoint or
    a region that cannot be one."""
    try:
        import boto3
    except ImportError as error:
        raise missing_package("boto3", "aws") from error
    keys = LOCAL_KEYS if place.local else {}
    try:
        with s3_errors(f"open {service}"):
            # A session of its own: the default one would keep the first credentials that it ever found.
            session = boto3.session.Session(region_name=place.region, botocore_session=_core(local=place.local))
            return session.client(service, endpoint_url=place.endpoint, config=config, **keys)
    except ValueError as error:
        raise InputError(f"cannot open {service}: {error}", hint="check AWS_ENDPOINT_URL") from error


def service_regions(service: str) -> frozenset[str]:
    """The regions that have a service, of all of Amazon's partitions, as botocore's own data has them: no setting of
    the user's is looked at. Raises MissingPackage without boto3."""
    try:
        import boto3
    except ImportError as error:
        raise missing_package("boto3", "aws") from error
    session = boto3.session.Session(botocore_session=_core(local=True))
    partitions = session.get_available_partitions()
    return frozenset(one for name in partitions for one in session.get_available_regions(service, partition_name=name))


def _core(*, local: bool) -> Any:
    """A session of botocore's with nothing kept but the descriptions of the services, which take a fifth of a second to
    read anew for each client. For a server on this machine the user's profiles and settings do not exist: a profile
    that is not there, or the ways of another S3, would stop a rehearsal."""
    from botocore.session import Session

    core = Session(session_vars=_NOTHING_OF_THE_USERS if local else None)
    core.register_component("data_loader", _descriptions(local))
    return core


@lru_cache(maxsize=2)
def _descriptions(local: bool) -> Any:
    from botocore.loaders import create_loader
    from botocore.session import Session

    session = Session(session_vars=_NOTHING_OF_THE_USERS if local else None)
    return create_loader(session.get_config_variable("data_path"))
