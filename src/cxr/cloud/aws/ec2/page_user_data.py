"""What a page's machine is told to do when it starts: a script of bash, with its parameters quoted at its top."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from importlib.resources import files

from cxr.cloud.hosting.page_server import LIST
from cxr.cloud.hosting.served import PROGRAM


@dataclass(frozen=True, slots=True)
class PageSurroundings:
    """Where the script works and serves, and how often (seconds) it looks for a new page."""

    work: str = "/var/lib/cxr"
    address: str = "0.0.0.0"  # noqa: S104  (the machine is there to be visited)
    port: int = 80
    fetch_seconds: float = 60


def page_user_data(page_url: str, region: str, hours: float, surroundings: PageSurroundings | None = None) -> str:
    """The script of a machine that serves the page at `page_url` (a folder of the bucket, or the bucket) for at most so
    many hours. There is no secret in it: the machine's role reads the bucket."""
    where = surroundings or PageSurroundings()
    parameters = {
        "PAGE": page_url,
        "REGION": region,
        "LIST": LIST,
        "PROGRAM": PROGRAM,
        "HARD_STOP_MINUTES": str(math.ceil(round(hours * 60, 6))),
        "WORK": where.work,
        "ADDRESS": where.address,
        "PORT": str(where.port),
        "FETCH_SECONDS": f"{where.fetch_seconds:g}",
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in parameters.items()]
    template = files("cxr.cloud.aws.ec2").joinpath("page_user_data.sh").read_text(encoding="utf-8")
    return "#!/bin/bash\n" + "\n".join(lines) + "\n" + template
