"""How this package's own processes end: one line on stderr and the error's exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from cxr.errors import CxrError, Interrupted


def run_process(main: Callable[[], None]) -> NoReturn:
    """Run `main` and exit: 0, or a CxrError's exit code with its message as the last line of stderr.

    SIGTERM (how a job is cancelled) unwinds like Ctrl-C, so that nothing half-written stays behind.
    """
    signal.signal(signal.SIGTERM, _unwind)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(_report(Interrupted("stopped by a signal")))
    except CxrError as error:
        if os.environ.get("CXR_DEBUG") == "1":
            raise
        sys.exit(_report(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_report(CxrError(f"{where}{error.strerror or error}")))
    sys.exit(0)


def _report(error: CxrError) -> int:
    hint = f" (next: {error.hint})" if error.hint else ""
    print(f"{error.headline}: {error.message}{hint}".replace("\n", " "), file=sys.stderr, flush=True)
    return error.exit_code


def _unwind(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
