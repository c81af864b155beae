"""A small checkout for scripts/setup with the machine that runs it; a whole one without changes."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.support import commands
from worker_images.files import ROOT

# The programs that scripts/setup runs; a test that hides a program provides only these.
PROGRAMS = ("cat", "chmod", "cut", "dirname", "env", "mkdir", "rm", "sh", "sha256sum", "tail")


@dataclass(frozen=True)
class Checkout:
    """A checkout with one package to install, and a user's home folder."""

    root: Path
    home: Path

    def setup(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run the script with these environment variables."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            **settings,
        }
        command = [str(self.root / "scripts/setup"), *arguments]
        return commands.run(command, env=environment)

    def configure(self, *lines: str) -> None:
        """Write the user's pip.conf, which also names the index."""
        file = self.home / ".config/pip/pip.conf"
        file.parent.mkdir(parents=True)
        index = ("[global]", "no-index = true", f"find-links = {self.root}/index")
        file.write_text("\n".join([*index, *lines, ""]))

    @property
    def stamped(self) -> bool:
        return (self.root / ".venv/requirements.txt.sha256").exists()

    @property
    def installed(self) -> bool:
        return any((self.root / ".venv").glob("lib/python3*/site-packages/small.py"))


def wheel(folder: Path, text: str = "") -> str:
    """Write a wheel with one module; return its line for requirements.txt."""
    folder.mkdir(exist_ok=True)
    path = folder / "small-1.0-py3-none-any.whl"
    information = "small-1.0.dist-info"
    files = {
        "small.py": text,
        f"{information}/METADATA": "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [*files, f"{information}/RECORD"]
    files[f"{information}/RECORD"] = "".join(f"{name},,\n" for name in rows)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return f"small==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def machine(folder: Path, **programs: str) -> str:
    """Return a PATH with the usual programs and these scripts."""
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(str(shutil.which(name)))
    for name, text in {
        "id": "echo 0",
        "python3": f'exec {sys.executable} "$@"',
        **programs,
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


def committed(folder: Path) -> Path:
    """Copy this checkout with its changes, and commit them; both share out/ and .venv/."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    listing.append("--exclude-standard")
    done = subprocess.run(listing, check=True, capture_output=True, text=True)
    for name in filter(None, done.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in ("out", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    for command in (
        ["init", "--quiet"],
        ["add", "--all", ":!out", ":!.venv"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "all"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    (folder / ".git/info/exclude").write_text("/out\n/.venv\n")
    return folder
