"""A registry to which the real images are released by commands, as a user runs them."""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import commands, docker_registry
from tests.support.registry_proxy import Proxy
from worker_images.build.inputs import BUILDER
from worker_images.files import ROOT

NAME = "team/worker"
# The version that the registry has of all variants.
VERSION = "1.0"
SLIM = ROOT / "out/slim"


@dataclass(frozen=True)
class Site:
    """A registry behind a proxy, a key, and a checkout without changes."""

    proxy: Proxy = field(repr=False)
    key: Path
    checkout: Path

    @property
    def target(self) -> str:
        """The repository."""
        return f"{self.proxy.address}/{NAME}"

    @property
    def public_key(self) -> Path:
        """The key that verifies."""
        return self.key.with_suffix(".pub")

    def run(
        self, command: str, *words: str | Path, **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of build.py."""
        line = [sys.executable, "build.py", command, *map(str, words)]
        return commands.run(line, cwd=self.checkout, env={**os.environ, **settings})

    def release(
        self, variant: str, version: str, *words: str, **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command release for this machine's architecture."""
        options = ["--to", self.target, "--version", version, "--key", str(self.key)]
        options += ["--arch", BUILDER]
        options += ["--variant", variant]
        return self.run("release", *options, *words, **settings)

    def verify(self, reference: str, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run the command verify-release."""
        options = ["--key", str(self.public_key)]
        return self.run("verify-release", reference, *options, *words)

    def tags(self) -> list[str]:
        """The tags of the registry."""
        return docker_registry.tags(self.proxy.backend, NAME)

    def verified(self, reference: str) -> dict[str, Any]:
        """What verify-release finds."""
        done = self.verify(reference, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def manifest(variant: str) -> str:
    """The digest of the tested manifest."""
    found: str = json.loads((ROOT / f"out/{variant}/build.json").read_text())["manifest_digest"]
    return found


@contextlib.contextmanager
def images() -> Iterator[None]:
    """No other worker of pytest reads or changes the images in out/ meanwhile."""
    with (ROOT / "out/tests.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def kept(*paths: Path) -> Iterator[None]:
    """Put files back at the end, with their times."""
    copies = {path: path.with_name(f"kept-{path.name}") for path in paths}
    for path, copy in copies.items():
        shutil.copy2(path, copy)
    try:
        yield
    finally:
        for path, copy in copies.items():
            copy.replace(path)
