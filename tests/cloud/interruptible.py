"""`cxr` as a process that hears Ctrl-C and a closed terminal, however the tests were started."""

from __future__ import annotations

import sys
from typing import Final

#: What started pytest (in the background, or under nohup) may have it ignore these, which its children inherit.
_HEARING: Final = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "sys.argv[0] = 'cxr'; from cxr.cli.main import main; main()"
)
#: The words of the command, before its own.
CXR: Final = (sys.executable, "-c", _HEARING)
