"""boto3: its TransferManager with its defaults, or `upload_file` in a thread pool of `workers`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import boto3
from boto3.s3.transfer import TransferConfig, create_transfer_manager

from upload_peers.usage import Job, lines_of, main


def transfer(job: Job) -> None:
    """Send everything."""
    client = boto3.client("s3")
    files = [(path, job["bucket"], f"prefix/images/{name}") for name, path, *_ in lines_of(job)]
    if job.get("workers"):
        with ThreadPoolExecutor(job["workers"]) as pool:
            for done in [pool.submit(client.upload_file, *file) for file in files]:
                done.result()
        return
    with create_transfer_manager(client, TransferConfig()) as manager:
        for done in [manager.upload(*file) for file in files]:
            done.result()


if __name__ == "__main__":
    main(transfer)
