"""Pack the workload and pod layers and an image into one archive, for nodes with only Python.

The archive also contains a key, which seals the results on the node. A release accepts only sealed
results, and whoever has the key can seal any: keep the archive private.
"""

import argparse
import gzip
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from worker_images import files
from worker_images.build import record
from worker_images.build.tars import Progress
from worker_images.errors import EngineError
from worker_images.fetch import apt
from worker_images.fetch.store import pip_failure
from worker_images.files import PROBES
from worker_images.model import pins, seal
from worker_images.model.drivers.table import DRIVERS, PINS
from worker_images.model.stacked import open_pins
from worker_images.model.tree import VERSIONS, Tree

FOLDER = "gpu-kit"
# The node's commands and the checks of tests/workload and tests/pod. They need the standard library
# and pytest.
PARTS = (
    "worker_images/*.py",
    *("worker_images/model/__init__.py", "worker_images/model/drivers/__init__.py"),
    *("worker_images/model/built.py", "worker_images/model/layers.py"),
    *("worker_images/model/capabilities.py", "worker_images/model/gpus.py"),
    "worker_images/model/kernel_settings.py",
    *("worker_images/model/report_files.py", "worker_images/model/results.py"),
    "worker_images/model/xml.py",
    *("worker_images/model/seal.py", "worker_images/model/suite.py"),
    *("worker_images/model/drivers/kernel.py", "worker_images/model/drivers/table.py", DRIVERS),
    *("worker_images/model/drivers/fleet.py", "worker_images/model/drivers/version.py"),
    *("worker_images/model/drivers/advice.py", PINS),
    "worker_images/model/oci/*.py",
    *("worker_images/harness/__init__.py", "worker_images/harness/options.py"),
    *("worker_images/harness/open_shell.py", "tests/support/runsc_checks.py"),
    *(
        *(f"worker_images/node/**/*.{suffix}" for suffix in ("py", "json", "html")),
        "tests/pod/*.py",
        "tests/workload/*.py",
        f"{PROBES}/*",
        "LICENSE",
    ),
)
PYTEST = """[pytest]
addopts = -ra --strict-markers --strict-config -p worker_images.harness.options -p no:cacheprovider
filterwarnings = error
junit_family = xunit1
pythonpath = .
markers =
    variant(name): a promise of one variant
    not_in_a_pod: needs a worker in a container of its own
"""
RUN = """#!/bin/sh
# Runs the workload layer on this node, as root. --help lists the options; results go to results/.
cd "$(dirname "$0")" || exit
set -- --variant {variant} --image image.tar --results results --benchmark "$@"
exec python3 -X utf8 -m worker_images.node workload "$@"
"""
PURE_PYTHON = (
    "--python-version",
    "3.10",
    "--platform",
    "any",
    "--implementation",
    "py",
    "--abi",
    "none",
    "--only-binary",
    ":all:",
    "--no-deps",
)


def command(argv: list[str], root: Path, _: Progress) -> str:
    """Write the kit, or the older runsc for the negative controls, and return its path and size."""
    parser = argparse.ArgumentParser(prog="build.py gpu-kit", description=__doc__)
    parser.add_argument("--variant", default="slim", help="image to pack; default: slim")
    parser.add_argument(
        "--controls",
        action="store_true",
        help="write out/gpu-controls/runsc instead: Debian's runsc, older than most drivers",
    )
    arguments = parser.parse_args(argv)
    written = controls(root) if arguments.controls else kit(root, arguments.variant)
    return f"{Tree(root).name(written)}  {written.stat().st_size / 1e6:.1f} MB"


def kit(root: Path, variant: str) -> Path:
    """Write out/VARIANT/gpu-kit.tar.gz, and the key with which it seals its reports.

    The archive contains the key, so only its owner can read it. Raises EngineError if the image is
    missing and FetchError if pytest cannot be fetched.
    """
    image = root / "out" / variant / "image.tar"
    if not image.exists():
        raise EngineError(f"{Tree(root).name(image)} does not exist; run: make {variant}")
    target = image.parent / "gpu-kit.tar.gz"
    with tempfile.TemporaryDirectory(dir=root / "out") as scratch:
        part, site = Path(scratch) / "kit.tar.gz", Path(scratch) / "site"
        _install_pytest(Tree(root).checkout / "requirements-kit.txt", site)
        key = image.parent / seal.KIT_KEY
        seal.create(key)
        # The kit trusts only the image that its record names.
        built = json.dumps({"image_id": record.manifest(image)[1]})
        texts = {"pytest.ini": PYTEST, "run": RUN.format(variant=variant), "build.json": built}
        for name, text in texts.items():
            (Path(scratch) / name).write_text(text)
        (Path(scratch) / "run").chmod(0o755)
        with (
            gzip.GzipFile(part, "wb", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", encoding="utf-8") as tar,
        ):
            for path, name in [
                *_sources(Tree(root)),
                *_site_files(site),
                *((Path(scratch) / each, each) for each in texts),
                (image, "image.tar"),
                (key, seal.KIT_KEY),
            ]:
                tar.add(path, f"{FOLDER}/{name}", recursive=False, filter=_without_metadata)
        part.chmod(0o600)
        part.replace(target)
    return target


def controls(root: Path) -> Path:
    """Write out/gpu-controls/runsc from the pinned Debian suite; raises FetchError."""
    tree = Tree(root)
    pinned, _ = pins.of(open_pins(root / VERSIONS, tree))
    rows = apt.resolve(pinned.debian, {"controls": ["runsc"]})["controls"]
    (file,) = apt.fetch([row for row in rows if row.name == "runsc"], files.CACHE / "debs")
    target = root / "out" / "gpu-controls" / "runsc"
    target.parent.mkdir(parents=True, exist_ok=True)
    with apt.members(file, "--fsys-tarfile") as tar:
        for member in tar:
            if member.name.endswith("/usr/bin/runsc") and (stream := tar.extractfile(member)):
                target.write_bytes(stream.read())
    target.chmod(0o755)
    return target


def _install_pytest(requirements: Path, site: Path) -> None:
    """Install pytest for every Python from 3.10 on, with packages that only older ones need."""
    unmarked = re.sub(r" ; python_full_version < '3\.11'", "", requirements.read_text())
    selected = site.parent / "selected.txt"
    selected.write_text(
        re.sub(
            r"^\S+ ; sys_platform == 'win32' \\\n(?:    --hash.*\n)+",
            "",
            unmarked,
            flags=re.MULTILINE,
        )
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-compile",
        "--require-hashes",
    ]
    result = subprocess.run(
        [*command, *PURE_PYTHON, "--target", site, "--requirement", selected],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise pip_failure("pytest for the kit", result.stderr)


def _sources(tree: Tree) -> Iterator[tuple[Path, str]]:
    for pattern in PARTS:
        for path in sorted(tree.checkout.glob(pattern)):
            if path.is_file():
                name = str(path.relative_to(tree.checkout))
                yield (tree.find(name) if name in (DRIVERS, PINS) else path), name


def _site_files(site: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(site.rglob("*")):
        if path.is_file():
            yield path, f"{site.name}/{path.relative_to(site)}"


def _without_metadata(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove owner and time, so that equal files give equal archives."""
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info
