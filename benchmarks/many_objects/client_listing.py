"""Lists everything in a bucket: by Google's SDK as it comes (`who` sdk, pages of `page_size`), or by the store."""

from __future__ import annotations

import google.cloud.storage as storage
from google.auth.credentials import AnonymousCredentials

from cxr.storage import open_store
from upload_peers.usage import Job, main


def list_all(job: Job) -> None:
    """Count the objects, keep none."""
    if job["who"] == "sdk":
        options = {"api_endpoint": job["endpoint"]}
        client = storage.Client(project=job["project"], credentials=AnonymousCredentials(), client_options=options)
        sizes = {"page_size": job["page_size"], "max_results": job["objects"]}
        count = sum(1 for _ in client.list_blobs(job["bucket"], prefix=job["prefix"], **sizes))
    else:
        store = open_store(f"gs://{job['bucket']}/{job['prefix']}", endpoint=job["endpoint"], project=job["project"])
        count = sum(1 for _ in store.list())
    if count != job["objects"]:
        raise SystemExit(f"{count} objects were listed, not {job['objects']}")


if __name__ == "__main__":
    main(list_all)
