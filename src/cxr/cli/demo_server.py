"""The server that stands for a cloud, started again when it dies while the demo works with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from cxr.errors import CxrError

if TYPE_CHECKING:
    from cxr.cloud.provider import Provider, ServerWishes
    from cxr.settings import Settings

#: Seconds between two looks.
LOOK_S: Final = 1.0
#: A server that dies more often has a reason, and its requests say it.
MOST_STARTS: Final = 5


@contextmanager
def kept_running(
    provider: Provider, settings: Settings, wishes: ServerWishes, say: Callable[[str], None]
) -> Iterator[None]:
    """See to it that the server of `settings` runs while the block does: one that was killed is started again where it
    was, and what waits for an answer meanwhile asks again."""
    ended = threading.Event()

    def look() -> None:
        for _ in range(MOST_STARTS):
            # Asked twice: one that is busy may leave a question unanswered.
            while not (provider.will_start(settings) and provider.will_start(settings)):
                if ended.wait(LOOK_S):
                    return
            if ended.is_set():
                return
            try:
                url = provider.start_server(settings, wishes)
            except (CxrError, OSError) as error:
                said = error.message if isinstance(error, CxrError) else str(error)
                say(f"  {provider.server_words} has ended and does not start again: {said}")
                if ended.wait(LOOK_S):
                    return
            else:
                say(f"  {provider.server_words} had ended; it was started again: {url}")

    keeper = threading.Thread(target=look, name="server keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()
