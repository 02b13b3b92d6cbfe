"""What a server of one's own needs to serve a page: the same files, with the same headers as everywhere else.

nginx: https://nginx.org/en/docs/http/ngx_http_core_module.html. App Engine:
https://cloud.google.com/appengine/docs/standard/reference/app-yaml (handlers).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePosixPath

from cxr.webapp.headers import ASK_AGAIN, COMPRESSED, FOREVER, HASHED, INDEX, content_type, headers_for

#: The page's folder beside the server's own files.
PAGE_FOLDER = "page"
PORT = 8080
#: Where the official nginx image looks for files.
NGINX_ROOT = "/usr/share/nginx/html"


class Server(StrEnum):
    """The servers that are known."""

    NGINX = "nginx"
    APP_ENGINE = "app-engine"


def server_files(server: Server, names: Sequence[str]) -> dict[str, str]:
    """The server's files by their names, for a page of the files `names`; the first marks the folder."""
    makers: Mapping[Server, Callable[[Sequence[str]], dict[str, str]]] = {
        Server.NGINX: lambda _: {"Dockerfile": DOCKERFILE, "nginx.conf": nginx_configuration()},
        Server.APP_ENGINE: lambda page: {"app.yaml": app_yaml(page), "main.py": NOT_FOUND_PROGRAM},
    }
    return makers[server](names)


def nginx_configuration(*, root: str = NGINX_ROOT, port: int = PORT, scratch: str = "/tmp") -> str:  # noqa: S108  (of a container)
    """A whole nginx.conf, for a server that runs without privileges and writes to `scratch` only."""
    types, plain = _nginx_types()
    packed = [kind for kind in _kinds() if kind != "text/html"]  # text/html is always packed
    headers = {
        name: value for name, value in headers_for(INDEX).items() if name not in {"Content-Type", "Cache-Control"}
    }
    lines = [f'        add_header {name} "{value}" always;' for name, value in headers.items()]
    scratches = [
        f"    {name}_temp_path {scratch}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    ]
    return _NGINX.format(
        scratch=scratch,
        scratches="\n".join(scratches),
        types="\n".join(f"        {kind} {' '.join(endings)};" for kind, endings in types.items()),
        utf8=" ".join(kind for kind in plain if kind != "text/html"),
        packed=" ".join(packed),
        hashed=f"/{HASHED}",
        forever=FOREVER,
        ask_again=ASK_AGAIN,
        port=port,
        root=root,
        index=INDEX,
        headers="\n".join(lines),
    )


def app_yaml(names: Sequence[str]) -> str:
    """app.yaml with a handler for each kind of file that the page has; the first that fits a path answers it."""
    found = {(not name.startswith(HASHED), PurePosixPath(name).suffix) for name in names}
    # Shards may have no ending: their pattern fits all of the folder, and comes after the others.
    kinds = sorted(found, key=lambda kind: (kind[0], not kind[1], kind[1]))
    handlers = [_handler("/", f"{PAGE_FOLDER}/{INDEX}", _escaped(f"{PAGE_FOLDER}/{INDEX}"), INDEX)]
    for others, suffix in kinds:
        folder = "" if others else HASHED
        pattern = f"{folder}.+{_escaped(suffix)}"
        handlers.append(
            _handler(f"/({pattern})", f"{PAGE_FOLDER}/\\1", f"{PAGE_FOLDER}/{pattern}", f"{folder}x{suffix}")
        )
    head = "runtime: python312\ninstance_class: F1\nautomatic_scaling:\n  max_instances: 1\nhandlers:\n"
    return head + "".join(handlers)


def _handler(url: str, files: str, upload: str, example: str) -> str:
    """One handler; `example` is a path of the page that has the headers of all that it serves. YAML takes JSON's
    strings."""
    headers = headers_for(example)
    # App Engine makes Cache-Control out of the expiration: with 0 browsers ask again each time.
    expiration = "365d" if headers.pop("Cache-Control") == FOREVER else "0s"
    kind = headers.pop("Content-Type")
    rows = [
        ("url", url),
        ("static_files", files),
        ("upload", upload),
        ("mime_type", kind),
        ("secure", "always"),
        ("redirect_http_response_code", "301"),
        ("expiration", expiration),
    ]
    first, *others = (f"{name}: {json.dumps(value)}\n" for name, value in rows)
    custom = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in headers.items())
    return f"- {first}" + "".join(f"  {line}" for line in others) + "  http_headers:\n" + custom


def _escaped(text: str) -> str:
    return text.replace(".", "\\.")


def _kinds() -> list[str]:
    """Media types that are worth packing, without their parameters, each once."""
    return list(dict.fromkeys(content_type(f"x{suffix}").partition(";")[0] for suffix in sorted(COMPRESSED)))


def _nginx_types() -> tuple[dict[str, list[str]], list[str]]:
    """Endings by media type, and the types that go out with `charset=utf-8`."""
    types: dict[str, list[str]] = {}
    utf8 = []
    for suffix in sorted(COMPRESSED):
        kind, _, parameter = content_type(f"x{suffix}").partition("; ")
        types.setdefault(kind, []).append(suffix.removeprefix("."))
        if parameter == "charset=utf-8":
            utf8.append(kind)
    return types, utf8


_NGINX = """\
# The page of cxr web build, with the headers that it is meant to be served with.
worker_processes auto;
pid {scratch}/nginx.pid;
error_log /dev/stderr warn;

events {{
    worker_connections 1024;
}}

http {{
    access_log off;
    server_tokens off;
    sendfile on;
    etag on;
{scratches}

    default_type application/octet-stream;
    types {{
{types}
    }}
    charset utf-8;
    charset_types {utf8};

    gzip on;
    gzip_comp_level 9;
    gzip_min_length 256;
    gzip_proxied any;
    gzip_vary on;
    gzip_types {packed};

    map $uri $cache_control {{
        default "{ask_again}";
        "~^{hashed}" "{forever}";
    }}

    server {{
        listen {port};
        root {root};
        index {index};
        add_header Cache-Control $cache_control always;
{headers}

        if ($request_method !~ ^(GET|HEAD)$) {{
            return 405;
        }}
        location / {{
            try_files $uri $uri/ =404;
        }}
    }}
}}
"""

DOCKERFILE = f"""\
# docker build --tag cxr-page . && docker run --publish {PORT}:{PORT} --read-only --tmpfs /tmp cxr-page
FROM nginx:stable-alpine
COPY nginx.conf /etc/nginx/nginx.conf
COPY {PAGE_FOLDER}/ {NGINX_ROOT}/
USER nginx
EXPOSE {PORT}
CMD ["nginx", "-g", "daemon off;"]
"""

NOT_FOUND_PROGRAM = '''\
"""Answers what no static handler of app.yaml does."""


def app(environ, start_response):
    start_response("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
    return [b"not found\\n"]
'''
