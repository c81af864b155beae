"""A registry to which the real images are released by commands, as a user runs them."""

import json
import os
import subprocess
import sys
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


@dataclass(frozen=True)
class Shop:
    """A registry behind a proxy, and a key."""

    proxy: Proxy = field(repr=False)
    key: Path

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
        return commands.run(line, cwd=ROOT, env={**os.environ, **settings})

    def release(
        self, variant: str, version: str, *words: str, **settings: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command release for this machine's architecture."""
        options = ["--to", self.target, "--version", version, "--key", str(self.key)]
        options += ["--arch", BUILDER]
        options += ["--allow-dirty", "--variant", variant]
        return self.run("release", *options, *words, **settings)

    def verify(self, reference: str, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run the command verify-release."""
        options = ["--key", str(self.public_key), "--allow-dirty"]
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
