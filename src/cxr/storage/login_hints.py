"""What is said to whoever's credentials have run out: then nothing else that is tried would go better."""

from __future__ import annotations

from typing import Final

from cxr.storage.amazon.errors import LOGIN_HINT as AMAZON_HINT
from cxr.storage.google.errors import LOGIN_HINT as GOOGLE_HINT

LOGIN_HINTS: Final = frozenset({GOOGLE_HINT, AMAZON_HINT})
