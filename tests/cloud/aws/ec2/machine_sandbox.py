"""A machine of our own for user data: its programs are small scripts, its root and its metadata are files.

PATH has nothing but these scripts and the core utilities that the script needs, so that nothing of this machine can be
shut down. `aws` speaks to moto's S3 over HTTP; `docker` runs the container's command here, with /opt/ml in the
sandbox; `python3` in the container is the tiny trainer.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ec2_site import Site

from cxr.cloud.aws.ec2.user_data import Surroundings, user_data
from cxr.cloud.plans.launch import LaunchPlan
from cxr.cloud.trainer.job import CustomOptions

CORE = ("bash", "sh", "cat", "cp", "mkdir", "touch", "timeout")
_HEAD = f"#!{sys.executable} -IS\nimport os, signal, subprocess, sys, time\nfrom pathlib import Path\n"
_HEAD += "HERE = Path(os.environ['SANDBOX'])\n"
_HEAD += "said = ' '.join([Path(sys.argv[0]).name, *sys.argv[1:]])\n"
_HEAD += "with (HERE / 'calls').open('a') as calls:\n    calls.write(said.replace('\\n', ' ') + '\\n')\n"

SHUTDOWN = _HEAD
SLEEP = f"#!{sys.executable} -IS\nimport sys, time\ntime.sleep(min(0.1, float(sys.argv[1])))\n"
CURL = f"""#!{sys.executable} -IS
import os, sys
from pathlib import Path
here = Path(os.environ['SANDBOX'])
answers = {{'api/token': 'token', 'instance-id': 'i-0sandbox'}}
url = sys.argv[-1]
if (here / 'taken-back').exists():
    answers['spot/instance-action'] = '{{"action": "terminate"}}'
if not url.endswith('api/token') and 'X-aws-ec2-metadata-token: token' not in sys.argv:
    sys.exit(22)
for end, answer in answers.items():
    if url.endswith(end):
        print(answer, end='')
        sys.exit(0)
sys.exit(22)
"""
AWS = (
    _HEAD
    + r"""
import fnmatch, urllib.error, urllib.parse, urllib.request
import xml.etree.ElementTree as tree
ORIGIN = os.environ['S3']
# moto looks for a signature, not at it.
SIGNED = {'Authorization': 'AWS4-HMAC-SHA256 Credential=nobody/20261122/us-east-1/s3/aws4_request, Signature=0',
          'Content-Type': 'application/octet-stream'}
kind, verb, *rest = sys.argv[1:]
assert kind == 's3' and '--only-show-errors' in rest, sys.argv
places, flags, rules, words = [], set(), [], iter(rest)
for word in words:
    if word in ('--exclude', '--include'):
        rules.append((word, next(words)))
    elif word.startswith('--'):
        flags.add(word)
    else:
        places.append(word)
source, target = places
def taken(name):
    goes = True
    for rule, pattern in rules:
        if fnmatch.fnmatch(name, pattern):
            goes = rule == '--include'
    return goes
def ask(method, url, data=None, asked=''):
    path = urllib.parse.quote(url.removeprefix('s3://'))
    request = urllib.request.Request(f'{ORIGIN}/{path}{asked}', data=data, headers=SIGNED, method=method)
    return urllib.request.urlopen(request, timeout=120).read()
def listed(url):
    bucket, _, prefix = url.removeprefix('s3://').partition('/')
    asked = urllib.parse.urlencode({'list-type': 2, 'prefix': prefix + '/'})
    told = ask('GET', f's3://{bucket}', asked=f'?{asked}')
    return [one.text[len(prefix) + 1:] for one in tree.fromstring(told).iter() if one.tag.endswith('}Key')]
def put(path, url):
    ask('PUT', url, path.read_bytes())
    with (HERE / 'puts').open('a') as puts:
        puts.write(url + '\n')
def get(url, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ask('GET', url))
try:
    if target.startswith('s3://'):
        folder = Path(source)
        many = '--recursive' in flags or verb == 'sync'
        files = [one for one in sorted(folder.rglob('*')) if one.is_file()] if many else [folder]
        names = {path.relative_to(folder).as_posix(): path for path in files} if many else {}
        for name, path in names.items():
            if taken(name):
                put(path, f'{target}/{name}')
        if not many:
            put(folder, target)
        if '--delete' in flags:
            for name in listed(target):
                if taken(name) and name not in names:
                    ask('DELETE', f'{target}/{name}')
    elif '--recursive' in flags:
        for name in listed(source):
            get(f'{source}/{name}', Path(target) / name)
    else:
        get(source, Path(target))
except (urllib.error.HTTPError, OSError) as error:
    print(f'fatal error: {error}', file=sys.stderr)
    sys.exit(1)
"""
)
DOCKER = (
    _HEAD
    + r"""
verb, *words = sys.argv[1:]
pid_file = HERE / 'container'
def send(number):
    try:
        os.killpg(int(pid_file.read_text()), number)
    except (OSError, ValueError):
        sys.exit(1)
if verb == 'pull':
    sys.exit(1 if (HERE / 'no-image').exists() else 0)
if verb in ('stop', 'kill'):
    send(signal.SIGTERM if verb == 'stop' else signal.SIGKILL)
    sys.exit(0)
assert verb == 'run'
root, variables, words = '', {}, iter(words)
for word in words:
    if word == '--env':
        name, equals, value = next(words).partition('=')
        variables[name] = value if equals else os.environ[name]
    elif word == '--volume':
        here, there = next(words).split(':')
        root = here if there == '/opt/ml' else root
    elif word in ('--name', '--network', '--gpus'):
        next(words)
    elif not word.startswith('--'):
        break
inside = [word.replace('/opt/ml', root) if root else word for word in words]
if inside[:1] == ['s3']:
    inside = [str(HERE / 'container-bin' / 'aws'), *inside]
allowed = {'SANDBOX': os.environ['SANDBOX'], 'S3': os.environ['S3'], **variables}
allowed |= {'PATH': str(HERE / 'container-bin'), 'SAGEMAKER_BASE_DIR': root}
extra = HERE / 'container-environment'
allowed |= dict(line.split('=', 1) for line in extra.read_text().splitlines()) if extra.exists() else {}
container = subprocess.Popen(inside, env=allowed, start_new_session=True)
pid_file.write_text(str(container.pid))
signal.signal(signal.SIGTERM, lambda *_: os.killpg(container.pid, signal.SIGTERM))
code = container.wait()
pid_file.unlink(missing_ok=True)
sys.exit(128 - code if code < 0 else code)
"""
)


@dataclass(frozen=True)
class Sandbox:
    """A machine on which one script is run."""

    folder: Path
    site: Site
    plan: LaunchPlan
    options: CustomOptions
    resume_from: str = ""

    @property
    def root(self) -> Path:
        """What is /opt/ml in the container."""
        return self.folder / "opt" / "ml"

    @property
    def calls(self) -> list[str]:
        """The commands of the machine, in order."""
        return (self.folder / "calls").read_text().splitlines()

    @property
    def puts(self) -> list[str]:
        """What was sent to the job's folder, in order, by name."""
        below = f"{self.site.connection.base_url}/jobs/{self.plan.job_id}/"
        return [line.removeprefix(below) for line in (self.folder / "puts").read_text().splitlines()]

    @property
    def exit_record(self) -> dict[str, Any]:
        """What it wrote before its end."""
        told: dict[str, Any] = json.loads(self.site.get(f"{self.site.folder(self.plan)}/exit.json"))
        return told

    @property
    def log(self) -> str:
        return self.site.get(f"{self.site.folder(self.plan)}/logs/trainer.log").decode()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": str(self.folder / "bin"),
            "SANDBOX": str(self.folder),
            "S3": str(self.site.connection.endpoint),
            "HOME": str(self.folder),
        }

    def start(self) -> subprocess.Popen[str]:
        """The machine boots: user data runs, in a session of its own. Refused when shutdown is not the sandbox's."""
        assert os.path.realpath(self._found("shutdown")) == str((self.folder / "bin" / "shutdown").resolve())
        assert self._found("poweroff") == ""
        script = self.folder / "user-data"
        where = Surroundings(str(self.root), str(self.folder / "work"), send_seconds=2, watch_seconds=0.1)
        text = user_data(self.plan, self.options, resume_from=self.resume_from, surroundings=where)
        assert not any(word in text for word in ("/sbin", "/usr/bin", "/bin/shutdown", "systemctl"))
        script.write_text(text)
        return subprocess.Popen(
            [str(self.folder / "bin" / "bash"), str(script)],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self) -> subprocess.CompletedProcess[str]:
        """The machine's whole life."""
        process = self.start()
        out, err = process.communicate(timeout=600)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def _found(self, command: str) -> str:
        asked = [str(self.folder / "bin" / "bash"), "-c", f"command -v {command}"]
        told = subprocess.run(asked, env=self.environment, capture_output=True, text=True, check=False)
        return told.stdout.strip()


def make_sandbox(folder: Path, site: Site, trainer: str, options: CustomOptions, **more: Any) -> Sandbox:
    """A machine whose container's `python3` is the program `trainer` (Python; `sys.argv` as the container's)."""
    machine, container = folder / "bin", folder / "container-bin"
    for where in (machine, container):
        where.mkdir(parents=True)
        for name in CORE:
            found = shutil.which(name)
            assert found is not None, f"{name} is needed"
            (where / name).symlink_to(found)
    scripts = {"shutdown": SHUTDOWN, "sleep": SLEEP, "curl": CURL, "aws": AWS, "docker": DOCKER}
    for name, text in scripts.items():
        _script(machine / name, text)
    _script(container / "aws", AWS)
    _script(container / "python3", trainer)
    plan = site.plan(options, attempt=more.pop("attempt", 1))
    return Sandbox(folder, site, plan, options, **more)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
