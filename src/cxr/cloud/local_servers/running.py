"""A server of this machine as the program that a process runs."""

from __future__ import annotations

import sys
from collections.abc import Callable

from cxr.errors import CxrError, missing_package

#: Serves until told to stop, and calls what it is given with its URL when it answers.
Serve = Callable[[Callable[[str], None]], None]


def run_server(serve: Serve, extra: str) -> int:
    """Serve until told to stop. Prints the URL on stdout when ready, an error on stderr; gives the exit code. A package
    that is missing is told as one of `extra`."""
    try:
        serve(lambda url: print(url, flush=True))
    except CxrError as error:
        return _report(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "cxr":
            raise
        return _report(missing_package(error.name, extra))
    return 0


def _report(error: CxrError) -> int:
    print(f"{error.headline}: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  next: {error.hint}", file=sys.stderr)
    return error.exit_code
