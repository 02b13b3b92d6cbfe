"""How long tests wait for what comes at once: shared machines may keep it waiting, and a limit that is never reached
costs nothing."""

from __future__ import annotations

from typing import Final

#: What Playwright waits for the browser or for one thing on a page, in milliseconds (its own default: 30,000).
BROWSER_MS: Final = 180_000
