"""What is said to whoever's credentials have run out: then nothing else that is tried would go better."""

from __future__ import annotations

from typing import Final

from cxr.storage import google_errors, s3_errors

LOGIN_HINTS: Final = frozenset({google_errors.LOGIN_HINT, s3_errors.LOGIN_HINT})
