"""gcsfs: `put` of a list of files with its defaults (128 at a time)."""

from __future__ import annotations

from gcsfs import GCSFileSystem

from upload_peers.usage import Job, lines_of, main


def transfer(job: Job) -> None:
    """Send everything."""
    system = GCSFileSystem(project=job["project"], token="anon", endpoint_url=job["endpoint"])
    files = [(path, f"{job['bucket']}/prefix/images/{name}") for name, path, *_ in lines_of(job)]
    system.put([path for path, _ in files], [target for _, target in files])


if __name__ == "__main__":
    main(transfer)
