"""The command `build.py update` with a loopback module proxy."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support import commands
from tests.support.registries import Registry
from worker_images.files import ROOT
from worker_images.model.drivers.table import DRIVERS

DAY, GVISOR = "2026-08-20T12:00:00Z", "gvisor.dev/gvisor"
COMMIT = "v0.0.0-20260820120000-0123456789ab"
CLOSED = "http://127.0.0.1:9"
ROWS = json.loads((ROOT / DRIVERS).read_text())["releases"]
SERVED = ROWS["20260817.0"]["supported"]
# The SHA-512 of the archive of that release, which versions.yaml pins.
SHA512 = "a" * 128
SUM = "/gvisor/releases/release/20260817.0/x86_64/gvisor.tar.bz2.sha512"
MIRRORS = 'mirrors:\n  "https://storage.googleapis.com": "{}"\n'


@dataclass
class Update:
    """The command with one registry and its own copy of versions.yaml."""

    registry: Registry
    versions: Path
    text: str

    def environment(self, **changes: str) -> dict[str, str]:
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), CLOSED)
        settings = {"GOPROXY": self.registry.address, "no_proxy": "127.0.0.1"}
        return {**os.environ, **proxies, **settings, **changes}

    def command(self, *options: str) -> list[str]:
        return [
            sys.executable,
            str(ROOT / "build.py"),
            "update",
            "--versions",
            str(self.versions),
            *options,
        ]

    def run(self, *options: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        environment = self.environment(**changes)
        return commands.run(self.command(*options), env=environment)

    @property
    def untouched(self) -> bool:
        return (
            self.versions.read_text() == self.text
            and len(list(self.versions.parent.iterdir())) == 1
        )
