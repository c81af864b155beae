"""Do the commands in docs/release.md print what the page shows?"""

import json
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.files import ROOT
from worker_images.release.examine import VERSION
from worker_images.release.tools import Tools

PAGE = ROOT / "docs/release.md"
TARGET = "registry.example/team/worker"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
# Values that differ from run to run, as the page writes them.
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
COUNT = re.compile(r"[0-9]+ passed, [0-9]+ failed, [0-9]+ not run")
REVISION = re.compile(r"revision  [0-9a-f]{40}(-dirty)?")
DIRTY = {"release", "verify-release", "rollback"}
COMMANDS = (
    "release-key",
    "release",
    "release",
    "verify-release",
    "verify-release",
    "rollback",
)


def transcript() -> Iterator[tuple[list[str], str]]:
    """Each command of the page and the output that follows it."""
    for block in BLOCK.findall(PAGE.read_text()):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            if command.startswith("./build.py"):
                yield shlex.split(command)[1:], output.rstrip("\n")


def test_commands_of_the_page_print_what_it_shows(
    shared_registry: str, programs: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key, a release, the same again, verification, a copy in a folder, and a rollback."""
    monkeypatch.setenv("COSIGN_PASSWORD", "a password of the tests")
    target, shown = f"{shared_registry}/docs/{tmp_path.name}", list(transcript())
    assert [words[0] for words, _ in shown] == [*COMMANDS]

    def run(words: Sequence[str]) -> str:
        words = [word.replace(TARGET, target) for word in words]
        words = [str(tmp_path / word) if word.startswith("release.") else word for word in words]
        words = [word.replace("FOLDER", str(tmp_path / "copy")) for word in words]
        words = [
            str(tmp_path / "release") if word == "release" and number else word
            for number, word in enumerate(words)
        ]
        # The checkout of a developer has changes.
        words += ["--allow-dirty"] if words[0] in DIRTY else []
        done = commands.run([sys.executable, str(ROOT / "build.py"), *words], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(target, TARGET).replace(f"{tmp_path}/", "").rstrip("\n")

    for words, output in shown:
        if "--json" in words:
            copy(programs, f"{target}:1.4.0-slim", tmp_path / "copy")
            assert json.loads(run(words))["annotations"][VERSION] == "1.4.0"
            continue
        if words[0] == "rollback":
            run([word.replace("1.4.0", "1.5.0") for word in shown[1][0]])
        assert plain(run(words)) == plain(output)


def plain(text: str) -> str:
    """A text without the values that differ from run to run or when tests are added."""
    text = REVISION.sub("revision  COMMIT", text)
    return COUNT.sub("N passed, N failed, N not run", DIGEST.sub("sha256:...", text))


def copy(programs: Tools, reference: str, folder: Path) -> None:
    """Copy a release to a folder as a user does."""
    command = ["cp", "--recursive", "--no-tty", "--from-plain-http", reference]
    done = programs.run("oras", [*command, "--to-oci-layout", f"{folder}:1.4.0-slim"])
    assert done.status == 0, done.errors
