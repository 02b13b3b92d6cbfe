"""What Amazon refuses becomes a finding: which permission is missing, and who gives it.

The wording of a refusal: IAM User Guide, "Access denied error messages" (`User: … is not authorized to perform: …`).
"""

from __future__ import annotations

import re
from typing import Final

from cxr.errors import CxrError

_PERMISSION: Final = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_EXPLICIT: Final = re.compile(r"with an explicit deny in (an? [\w -]+?policy)")


def reason_of(error: CxrError) -> tuple[str, str]:
    """Why a request was refused, in words, and what to do next."""
    found = _PERMISSION.search(error.message)
    if found is None:
        return error.message, error.hint or ""
    permission, explicit = found[1], _EXPLICIT.search(error.message)
    if explicit:
        following = f"ask an administrator of the account, or use another AWS_PROFILE: {explicit[1]} says no"
        return f"permission {permission} is denied", following
    following = f"ask an administrator of the account for a policy with {permission}, or use another AWS_PROFILE"
    return f"permission {permission} is missing", following
