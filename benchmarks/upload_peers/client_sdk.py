"""`transfer_manager.upload_many` of Google's SDK with threads, called as its documentation calls it."""

from __future__ import annotations

from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client, transfer_manager

from upload_peers.usage import Job, lines_of, main


def transfer(job: Job) -> None:
    """Send everything; on the second run with skip_if_exists."""
    options = {"max_workers": job["workers"]} if job.get("workers") else {}
    client = Client(
        project=job["project"],
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": job["endpoint"]},
    )
    bucket = client.bucket(job["bucket"])
    pairs = [(path, bucket.blob(f"prefix/images/{name}")) for name, path, *_ in lines_of(job)]
    transfer_manager.upload_many(
        pairs,
        worker_type=transfer_manager.THREAD,
        skip_if_exists=job["again"],
        raise_exception=True,
        **options,
    )


if __name__ == "__main__":
    main(transfer)
