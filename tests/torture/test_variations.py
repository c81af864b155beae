"""Does a build give the same image ID whatever the machine, the folder and the time are?"""

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from worker_images.build import record
from worker_images.fetch import apt
from worker_images.files import CACHE, ROOT
from worker_images.model import pins

# What differs from an ordinary build: a prefix of the command, and variables.
PREFIXES: Mapping[str, tuple[str, ...]] = {
    "umask": ("sh", "-c", 'umask 077; exec "$@"', "sh"),
    "hostname": ("unshare", "--uts", "sh", "-c", 'hostname other; exec "$@"', "sh"),
    "one processor": ("taskset", "--cpu-list", "0"),
}
VARIABLES: Mapping[str, Mapping[str, str]] = {
    "time zone": {"TZ": "Pacific/Kiritimati"},
    "locale": {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"},
    "source date": {"SOURCE_DATE_EPOCH": "1"},
}
VARIATIONS = ("folder", "engine restart", "clock", *PREFIXES, *VARIABLES)


@pytest.fixture(scope="module")
def expected() -> dict[str, str]:
    """The image IDs of an ordinary build."""
    return {name: image_id(ROOT, name) for name in ("slim", "full")}


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables that set the clock of build.py 400 days ahead, by Debian's libfaketime.

    Its release is that of this machine, whose C library it needs.
    """
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    pin = pins.load(ROOT / "versions.yaml")[0].debian.model_copy(update={"suite": suite})
    found = apt.resolve(pin, {"clock": ["libfaketime"]})["clock"]
    package = [each for each in found if each.name == "libfaketime"]
    (file,) = apt.fetch(package, CACHE / "debs")
    folder = tmp_path_factory.mktemp("clock")
    subprocess.run(["dpkg-deb", "--extract", str(file), str(folder)], check=True)
    (library,) = folder.rglob("libfaketime.so.1")
    return {"LD_PRELOAD": str(library), "FAKETIME": "+400d"}


def image_id(root: Path, variant: str) -> str:
    return str(json.loads((root / f"out/{variant}/build.json").read_text())["image_id"])


@pytest.mark.parametrize("variation", VARIATIONS)
def test_build_gives_the_same_images(
    variation: str,
    expected: dict[str, str],
    clock: dict[str, str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Every stage of both variants is built again."""
    root = ROOT
    if variation == "folder":
        root = tmp_path / "another folder"
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("out", ".venv", ".git"))
        (root / ".venv").symlink_to(ROOT / ".venv")
    if variation == "engine restart":
        subprocess.run([str(ROOT / "build.py"), "engine", "stop"], check=True)
    command = [str(ROOT / ".venv/bin/python"), "build.py", "--variant", "all"]
    done = subprocess.run(
        [*PREFIXES.get(variation, ()), *command, "--no-cache", "--no-test"],
        cwd=root,
        env={**os.environ, **(clock if variation == "clock" else VARIABLES.get(variation, {}))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {variant: candidate(root, variant) for variant in expected}
    assert found == expected
    record_property("seen", f"{len(found)} images, equal IDs")


def candidate(root: Path, variant: str) -> str:
    """The image ID of an archive that was built and not tested."""
    return record.manifest(root / f"out/{variant}/candidate.tar")[1]
