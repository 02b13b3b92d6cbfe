"""`cxr web package`."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Annotated

import typer

from cxr.cli.options import Json, Quiet
from cxr.cli.out import Out
from cxr.webapp.servers import PAGE_FOLDER, PORT, Server

NEXT = {
    Server.NGINX: f"docker build --tag cxr-page {{out}} && docker run --publish {PORT}:{PORT} cxr-page",
    Server.APP_ENGINE: "gcloud app deploy {out}/app.yaml",
}


def package_command(
    page: Annotated[Path, typer.Argument(metavar="PAGE", help="A folder made by `cxr web build`.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write; an older package there is replaced.")],
    server: Annotated[Server, typer.Option("--for", help="nginx: a container; app-engine: an app.yaml.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Pack a page with what a server of your own needs: the same files with the same headers.

    Nothing is sent anywhere. Research use, not a medical device.

    Example: cxr web package page package --for nginx
    """
    from cxr.folders import replaced_folder
    from cxr.webapp.kept import files_of
    from cxr.webapp.servers import server_files

    out = Out(as_json, quiet)
    names = files_of(page)
    written = server_files(server, names)
    with replaced_folder(folder, marker=next(iter(written))) as part:
        for name in names:
            (part / PAGE_FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(page / name, part / PAGE_FOLDER / name)
        for name, text in written.items():
            (part / name).write_text(text, encoding="utf-8")
    command = NEXT[server].format(out=shlex.quote(str(folder)))
    out.result("web.package", {"folder": str(folder), "for": server, "files": [*written], "next": command})
    out.text(str(folder))
    out.say("working offline and the camera need https: put it behind a load balancer that has it")
    out.hint(command)
