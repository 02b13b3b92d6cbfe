"""Objects of the server's own S3: what an input names, files down, files up."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cxr.cloud.aws.local.jobs.work import JobFailedError


@dataclass(frozen=True, slots=True)
class InputObject:
    """One object of an input, and the path that it has below the input's folder."""

    bucket: str
    key: str
    path: str

    @property
    def uri(self) -> str:
        """Its place."""
        return f"s3://{self.bucket}/{self.key}"


def split_uri(uri: str) -> tuple[str, str]:
    """(bucket, key) of s3://bucket/key."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise JobFailedError(f"ClientError: {uri!r} is not an S3 URI")
    return bucket, key


def input_objects(client: Any, data_type: str, uri: str) -> list[InputObject]:
    """The objects of an S3Prefix or a ManifestFile, in the order of their keys or of the manifest.

    Raises JobFailedError when there are none (API reference: S3DataSource).
    """
    if data_type == "ManifestFile":
        return _of_manifest(client, uri)
    if data_type == "S3Prefix":
        return _below_prefix(client, uri)
    raise JobFailedError(f"ClientError: S3DataType {data_type} is not supported here: use S3Prefix or ManifestFile")


def read_object(client: Any, bucket: str, key: str) -> bytes:
    """An object's bytes. Raises JobFailedError, in the service's words, when it is not there."""
    try:
        content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (client.exceptions.NoSuchKey, client.exceptions.NoSuchBucket) as error:
        code = error.response["Error"]["Code"]
        message = error.response["Error"]["Message"]
        raise JobFailedError(
            f"ClientError: Data download failed:{code} (404): {message} s3://{bucket}/{key}"
        ) from error
    return content


def download(client: Any, objects: Sequence[InputObject], folder: Path) -> None:
    """Write objects as files below a folder. Raises JobFailedError for one that is not there or whose path leaves
    it."""
    for one in objects:
        parts = PurePosixPath(one.path).parts
        if not parts or ".." in parts or one.path.startswith("/"):
            raise JobFailedError(f"ClientError: Data download failed: {one.uri} cannot be a file")
        target = folder / one.path
        content = read_object(client, one.bucket, one.key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        except (NotADirectoryError, FileExistsError, IsADirectoryError) as error:
            raise JobFailedError(f"ClientError: Data download failed: {one.uri} is a file and a folder") from error


def keys_below(client: Any, bucket: str, prefix: str) -> list[str]:
    """The keys that begin with a prefix, less those of folders. Raises JobFailedError when there is no such bucket."""
    try:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", []) if not item["Key"].endswith("/")]
    except client.exceptions.NoSuchBucket as error:
        raise JobFailedError(f"ClientError: NoSuchBucket: The specified bucket does not exist: {bucket}") from error


def upload(client: Any, path: Path, uri: str) -> None:
    """A file as an object. Raises JobFailedError when the bucket is not there."""
    from boto3.exceptions import S3UploadFailedError

    bucket, key = split_uri(uri)
    try:
        client.upload_file(str(path), bucket, key)
    except (client.exceptions.ClientError, S3UploadFailedError) as error:
        raise JobFailedError(f"ClientError: Artifact upload failed: {error}") from error


def _of_manifest(client: Any, uri: str) -> list[InputObject]:
    bucket, key = split_uri(uri)
    try:
        entries = json.loads(read_object(client, bucket, key))
        prefix = entries[0]["prefix"]
        names = [str(entry) for entry in entries[1:]]
    except (ValueError, LookupError, TypeError) as error:
        words = 'ClientError: Data download failed: a manifest is [{"prefix": "s3://…"}, "key", …]'
        raise JobFailedError(f"{words}; {uri} is not") from error
    base_bucket, base = split_uri(prefix)
    return [InputObject(base_bucket, base + name, name) for name in names]


def _below_prefix(client: Any, uri: str) -> list[InputObject]:
    bucket, prefix = split_uri(uri)
    keys = keys_below(client, bucket, prefix)
    if not keys:
        raise JobFailedError(
            f'ClientError: Data download failed:No S3 objects found under S3 URL "{uri}" given in input data source. '
            "Please ensure that the bucket exists in the selected region, and that objects exist under that S3 prefix."
        )
    return [InputObject(bucket, key, _path_below(prefix, key)) for key in sorted(keys)]


def _path_below(prefix: str, key: str) -> str:
    rest = key.removeprefix(prefix)
    if not prefix or prefix.endswith("/") or rest.startswith("/"):
        return rest.lstrip("/")
    # The prefix is an object's name, or begins several: the folder that it is in counts.
    return key[prefix.rfind("/") + 1 :]
