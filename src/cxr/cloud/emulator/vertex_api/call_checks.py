"""What is checked of every call before its method sees it: the region, and the query's parameters.

Sources: https://cloud.google.com/vertex-ai/docs/general/locations (2026-10);
https://cloud.google.com/apis/docs/system-parameters; the list methods of
https://cloud.google.com/vertex-ai/docs/reference/rest.
"""

from __future__ import annotations

from cxr.cloud.emulator.errors import invalid_argument, not_found, unimplemented
from cxr.cloud.emulator.vertex_api.call import Call

LOCATIONS = frozenset(
    f"{area}{number}"
    for area, numbers in {
        "africa-south": "1",
        "asia-east": "12",
        "asia-northeast": "123",
        "asia-south": "12",
        "asia-southeast": "12",
        "australia-southeast": "12",
        "europe-central": "2",
        "europe-north": "12",
        "europe-southwest": "1",
        "europe-west": ("1", "2", "3", "4", "6", "8", "9", "10", "12"),
        "me-central": "12",
        "me-west": "1",
        "northamerica-northeast": "12",
        "northamerica-south": "1",
        "southamerica-east": "1",
        "southamerica-west": "1",
        "us-central": "1",
        "us-east": "145",
        "us-south": "1",
        "us-west": "1234",
    }.items()
    for number in numbers
)
#: Parameters that every method of every Google API has; so has what begins with `$`.
SYSTEM_PARAMETERS = frozenset(
    {"access_token", "alt", "callback", "fields", "key", "oauth_token", "prettyPrint", "quotaUser"}
    | {"upload_protocol", "uploadType"}
)
_LIST = frozenset({"filter", "pageSize", "pageToken", "orderBy", "readMask", "returnPartialSuccess"})
#: A method's last word -> its own parameters; those of other methods are in the body.
PARAMETERS = {
    "list": _LIST,
    "listVersions": _LIST,
    "get": frozenset({"readMask"}),
    "patch": frozenset({"updateMask"}),
    "create": frozenset({"endpointId"}),
    "wait": frozenset({"timeout"}),
}


def check_call(call: Call) -> None:
    """Raise 404 for a region that there is not, 400 for a parameter that no one knows, 501 for readMask."""
    if call.location not in LOCATIONS:
        raise not_found(f"The location {call.location!r} does not exist.")
    known = PARAMETERS.get(call.rest_method.rpartition(".")[2], frozenset())
    for name in call.query:
        if name not in known and name not in SYSTEM_PARAMETERS and not name.startswith("$"):
            message = f'Invalid request: unknown name "{name}": cannot bind query parameter.'
            raise invalid_argument(message, field=name)
    if call.query.get("readMask"):
        raise unimplemented("readMask")
