"""What is said to whoever's credentials have run out: then nothing else that is tried would go better.

In a file of its own, so that whoever has the SDK of one cloud only can ask.
"""

from __future__ import annotations

from typing import Final

GOOGLE_LOGIN: Final = "gcloud auth application-default login (or set GOOGLE_APPLICATION_CREDENTIALS)"
AMAZON_LOGIN: Final = "aws configure (or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
LOGIN_HINTS: Final = frozenset({GOOGLE_LOGIN, AMAZON_LOGIN})
