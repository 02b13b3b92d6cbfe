"""A page in moto's account with what serves it, and a machine of our own for the page's user data.

PATH has nothing but scripts and the core utilities that the script needs, so that nothing of this machine can be shut
down; `systemd-run` and `systemctl` are scripts, too: the server runs as a child of the script, on loopback.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ec2_site import Site
from machine_sandbox import AWS, SHUTDOWN, SLEEP

from cxr.cloud.aws.clients import place_of
from cxr.cloud.aws.ec2.page_machines import Ec2PageServers
from cxr.cloud.aws.ec2.page_user_data import PageSurroundings, page_user_data
from cxr.cloud.aws.prices import AMAZON
from cxr.cloud.hosting.machine import ServingPlan, plan_serving, serve_page
from cxr.cloud.hosting.s3_host import S3Host
from cxr.cloud.hosting.servers import PageServer, ServerOptions
from cxr.cloud.prices.table import price_table

OFFICE = "203.0.113.7/32"
OPTIONS = ServerOptions("t3.micro", 24.0, (OFFICE,))
_CORE = ("bash", "mkdir", "rm", "mv", "timeout")
_HEAD = f"#!{sys.executable} -IS\nimport os, signal, subprocess, sys, time\nfrom pathlib import Path\n"
_HEAD += "HERE = Path(os.environ['SANDBOX'])\n"
_HEAD += "with (HERE / 'calls').open('a') as calls:\n"
_HEAD += "    calls.write(' '.join([Path(sys.argv[0]).name, *sys.argv[1:]]) + '\\n')\n"
_SYSTEMD_RUN = (
    _HEAD
    + """
options = [word for word in sys.argv[1:] if word.startswith('--')]
command = sys.argv[1:][next(n for n, word in enumerate(sys.argv[1:]) if not word.startswith('--')):]
if '--wait' in options:
    sys.exit(subprocess.call(command))
(unit,) = [word.partition('=')[2] for word in options if word.startswith('--unit=')]
(HERE / f'{unit}.service').write_text(str(subprocess.Popen(command).pid))
"""
)
_SYSTEMCTL = (
    _HEAD
    + """
verb, unit = sys.argv[1:]
assert verb == 'stop'
def ended(pid):
    try:
        os.kill(pid, 0)
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except ProcessLookupError:
        return True
    except FileNotFoundError:
        return False
try:
    pid = int((HERE / unit).read_text())
except FileNotFoundError:
    print(f'Failed to stop {unit}: Unit {unit} not loaded.', file=sys.stderr)
    sys.exit(5)
os.kill(pid, signal.SIGKILL)
while not ended(pid):  # its port is free when it has
    time.sleep(0.01)
"""
)


@dataclass(frozen=True)
class PageSite:
    """A page's place in the bucket of a site: its prefix is the connection's."""

    site: Site
    page: Path

    @property
    def servers(self) -> Ec2PageServers:
        return Ec2PageServers(self.site.connection, price_table(None, AMAZON))

    @property
    def host(self) -> S3Host:
        return S3Host(self.site.connection.bucket, place=place_of(self.site.connection), on="aws-local")

    def plan(self, options: ServerOptions = OPTIONS) -> ServingPlan:
        return plan_serving(self.host, self.servers, self.page, "page/", "us-east-1", options)

    def serve(self, options: ServerOptions = OPTIONS) -> PageServer:
        return serve_page(self.plan(options))

    def instances(self) -> list[dict[str, Any]]:
        told = self.site.ec2.describe_instances(Filters=[{"Name": "tag:cxr-run", "Values": [self.servers.run]}])
        return [one for reservation in told["Reservations"] for one in reservation["Instances"]]

    def groups(self) -> list[dict[str, Any]]:
        wanted = [{"Name": "tag:cxr-run", "Values": [self.servers.run]}]
        found: list[dict[str, Any]] = self.site.ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
        return found


def page_site(site: Site, page: Path) -> PageSite:
    """The page in that site's bucket, below `page/`."""
    return PageSite(Site(replace(site.connection, prefix="page")), page)


@dataclass(frozen=True)
class PageSandbox:
    """A machine that runs the page's user data."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[str]:
        """The commands of the machine, in order."""
        return (self.folder / "calls").read_text().splitlines()


@contextmanager
def running_machine(folder: Path, place: PageSite, hours: float = 24.0) -> Iterator[PageSandbox]:
    """The machine boots, in a session of its own, and is switched off at the end."""
    binaries = folder / "bin"
    binaries.mkdir(parents=True)
    for name in _CORE:
        found = shutil.which(name)
        assert found is not None, f"{name} is needed"
        (binaries / name).symlink_to(found)
    (binaries / "python3").symlink_to(sys.executable)
    scripts = {"shutdown": SHUTDOWN, "sleep": SLEEP, "aws": AWS, "systemd-run": _SYSTEMD_RUN, "systemctl": _SYSTEMCTL}
    for name, text in scripts.items():
        (binaries / name).write_text(text)
        (binaries / name).chmod(0o755)
    with _kept_port() as port:
        yield from _booted(folder, binaries, place, hours, port)


def _booted(folder: Path, binaries: Path, place: PageSite, hours: float, port: int) -> Iterator[PageSandbox]:
    where = PageSurroundings(str(folder / "work"), "127.0.0.1", port, fetch_seconds=0.1)
    text = page_user_data(place.site.connection.base_url, "us-east-1", hours, where)
    assert not any(word in text for word in ("/sbin", "/usr", "/bin/shutdown"))
    (folder / "user-data").write_text(text)
    environment = {"PATH": str(binaries), "SANDBOX": str(folder), "S3": str(place.site.connection.endpoint)}
    found = subprocess.run(
        [str(binaries / "bash"), "-c", "command -v shutdown; command -v poweroff"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == f"{binaries / 'shutdown'}\n"
    with (folder / "output").open("w") as output:
        process = subprocess.Popen(
            [str(binaries / "bash"), str(folder / "user-data")],
            env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        yield PageSandbox(folder, port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _kept_port() -> Iterator[int]:
    """A port that nobody else is given: bound, and, as nobody listens on it yet, free for a server that reuses it."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(("127.0.0.1", 0))
        yield int(one.getsockname()[1])
