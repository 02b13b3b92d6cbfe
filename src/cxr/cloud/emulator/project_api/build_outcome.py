"""What becomes of a build: what the service refuses at once, and how the others end.

Source: https://cloud.google.com/build/docs/api/reference/rest/v1/projects.builds (FailureInfo) and
https://docs.docker.com/reference/dockerfile/ (instructions). Of a Dockerfile only its instructions' names, its FROM and
the sources of COPY and ADD are looked at; nothing is pulled, run or pushed, and the digest is made up of the context.
"""

from __future__ import annotations

import fnmatch
import hashlib
import io
import json
import re
import shlex
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cxr.cloud.emulator.errors import invalid_argument, unimplemented
from cxr.cloud.emulator.storage_api.context import StorageContext
from cxr.cloud.emulator.storage_api.internal import read_object
from cxr.cloud.emulator.storage_api.objects import live_object
from cxr.cloud.emulator.vertex_api.messages import JsonObject

DOCKER = "gcr.io/cloud-builders/docker"
MAX_TIMEOUT_SECONDS = 24 * 3600
SIMULATED = "Simulated by the cxr emulator: the build was checked, and no image was made."
#: A Docker image in Artifact Registry: https://cloud.google.com/artifact-registry/docs/docker/names.
_IMAGE = re.compile(
    r"[a-z0-9-]+-docker\.pkg\.dev/[a-z][a-z0-9.:-]+/[a-z][a-z0-9-]*/[a-z0-9][a-z0-9._/-]*(?::[A-Za-z0-9_][\w.-]{0,127})?"
)
_TAG = re.compile(r"[A-Za-z0-9_][\w.-]{0,127}")
_INSTRUCTIONS = frozenset(
    (
        *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
        *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
    )
)


class _FailedError(Exception):
    """The build ends without an image; `kind` is a FailureInfo.FailureType."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def check_build(build: Mapping[str, Any]) -> None:
    """Raises 400 for what the service refuses at once, 501 for steps that the emulator does not know."""
    if not build.get("steps"):
        raise invalid_argument("invalid build: a build needs at least one step.", field="build.steps")
    for step in build["steps"]:
        name = str(step.get("name", "")).partition(":")[0]
        if not name:
            raise invalid_argument("invalid build: a step needs the name of its builder.", field="build.steps")
        if name != DOCKER or step.get("entrypoint") or step.get("script") or step.get("args", [""])[0] != "build":
            raise unimplemented(f"builds with steps other than `build` of {DOCKER}")
    source = build.get("source", {}).get("storageSource")
    if source is None:
        raise unimplemented("builds whose source is not a storageSource")
    if not source.get("bucket") or not source.get("object"):
        raise invalid_argument("invalid build: a storage source needs bucket and object.", field="build.source")
    for image in build.get("images", []):
        if not _IMAGE.fullmatch(image):
            raise invalid_argument(f"invalid build: invalid image name {image!r}", field="build.images")
    for tag in build.get("tags", []):
        if not _TAG.fullmatch(tag):
            raise invalid_argument(f"invalid build: invalid tag {tag!r}", field="build.tags")
    if float(str(build.get("timeout", "600s")).removesuffix("s")) > MAX_TIMEOUT_SECONDS:
        raise invalid_argument("invalid build: the timeout is more than 24 hours.", field="build.timeout")


def build_outcome(storage: StorageContext, build: Mapping[str, Any]) -> tuple[JsonObject, JsonObject]:
    """What the build will show at its end, and where its source was found ({} when it was not)."""
    provenance: JsonObject = {}
    try:
        context, provenance = _fetched(storage, build["source"]["storageSource"])
        tagged: set[str] = set()
        for number, step in enumerate(build["steps"]):
            tagged |= _docker_build(number, step.get("args", []), context)
        images = build.get("images", [])
        for image in images:
            if image not in tagged:
                raise _FailedError("PUSH_IMAGE_NOT_FOUND", f"An image does not exist locally with the tag: {image}")
    except _FailedError as failed:
        words = {"type": failed.kind, "detail": failed.detail}
        return {"status": "FAILURE", "statusDetail": failed.detail, "failureInfo": words}, provenance
    what = json.dumps([build["steps"], sorted((name, _sha256(data)) for name, data in context.items())], sort_keys=True)
    digest = f"sha256:{_sha256(what.encode())}"
    results = {"images": [{"name": image, "digest": digest} for image in images]}
    return {"status": "SUCCESS", "statusDetail": SIMULATED, "results": results}, provenance


def _fetched(storage: StorageContext, source: Mapping[str, Any]) -> tuple[dict[str, bytes], JsonObject]:
    where = f"gs://{source['bucket']}/{source['object']}"
    row = live_object(storage.database.read, source["bucket"], source["object"])
    if row is None:
        raise _FailedError("FETCH_SOURCE_FAILED", f"could not fetch {where}: there is no such object")
    if source.get("generation") and int(source["generation"]) != row["generation"]:
        raise _FailedError("FETCH_SOURCE_FAILED", f"{where} has no generation {source['generation']}")
    try:
        with tarfile.open(fileobj=io.BytesIO(read_object(storage, row)), mode="r:gz") as archive:
            members = [(one.name.removeprefix("./"), archive.extractfile(one)) for one in archive if one.isfile()]
            context = {name: stream.read() for name, stream in members if stream is not None}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise _FailedError("FETCH_SOURCE_FAILED", f"{where} is no tar.gz: {error}") from None
    resolved = {"bucket": source["bucket"], "object": source["object"], "generation": str(row["generation"])}
    return context, {"resolvedStorageSource": resolved}


def _docker_build(number: int, args: Sequence[str], context: Mapping[str, bytes]) -> set[str]:
    """The tags that a `docker build` gives."""
    tags, file, rest = set(), "Dockerfile", list(args[1:])
    while rest:
        word = rest.pop(0)
        name, has_value, value = word.partition("=")
        if name in {"-t", "--tag", "-f", "--file"}:
            value = value if has_value else rest.pop(0) if rest else ""
            if name in {"-t", "--tag"}:
                tags.add(value)
            else:
                file = value
    if file not in context:
        raise _step(number, f"failed to read dockerfile: open {file}: no such file or directory")
    _check_dockerfile(number, context[file].decode("utf-8", "replace"), context)
    return tags


def _check_dockerfile(number: int, text: str, context: Mapping[str, bytes]) -> None:
    instructions = list(_instructions(text))
    for line, word, _ in instructions:
        if word not in _INSTRUCTIONS:
            raise _step(number, f"dockerfile parse error on line {line}: unknown instruction: {word}")
    first = next((word for _, word, _ in instructions if word != "ARG"), "")
    if first != "FROM":
        raise _step(number, "dockerfile parse error: no build stage in current context: it must begin with FROM")
    for _, word, rest in instructions:
        parts = shlex.split(rest) if word in {"COPY", "ADD"} else []
        if any(part.startswith("--from") for part in parts):
            continue
        for source in [part for part in parts if not part.startswith("--")][:-1]:
            pattern = source.removeprefix("./")
            if "://" not in source and not any(_matches(name, pattern) for name in context):
                raise _step(number, f"{word} failed: {source}: not found in the build context")


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, instruction, rest), comments left out, continued lines joined."""
    start, joined = 0, ""
    for line, raw in enumerate(text.splitlines(), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        start, joined = (line, raw.strip()) if not joined else (start, f"{joined} {raw.strip()}")
        if joined.endswith("\\"):
            joined = joined[:-1].rstrip()
            continue
        word, _, rest = joined.partition(" ")
        yield start, word.upper(), rest
        joined = ""


def _matches(name: str, pattern: str) -> bool:
    return pattern in {".", ""} or fnmatch.fnmatchcase(name, pattern) or name.startswith(pattern.rstrip("/") + "/")


def _step(number: int, words: str) -> _FailedError:
    return _FailedError("USER_BUILD_STEP", f'build step {number} "{DOCKER}" failed: {words}')


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
