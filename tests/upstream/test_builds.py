"""Do images build from what upstream publishes, pass their tests, run, and differ as declared?"""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase as fnmatch
from pathlib import Path

import pytest
import yaml

from tests.upstream import checkout, hosts
from tests.upstream.sites import NEWER_GVISOR
from tests.upstream.stand_in import StandIn
from worker_images.files import ROOT
from worker_images.harness import dpkg
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image

DIFFERENCES = yaml.safe_load(Path(__file__).with_name("differences.yaml").read_text())
VARIANTS = ("slim", "full")
# Of a name service, those of the hosts; of the engine, that of the machine.
HOSTS = {*hosts.ADDRESSES, "localhost"}
# The destination of the default route in /proc/net/route.
DEFAULT_ROUTE = "00000000"


@dataclass(frozen=True)
class Built:
    """A checkout after a build: what the command printed, and its folder."""

    folder: Path
    result: "subprocess.CompletedProcess[str]"

    def results(self, variant: str) -> Mapping[str, object]:
        """The record of an image."""
        found: Mapping[str, object] = json.loads(self._out(variant, "build.json").read_text())
        return found

    def image(self, variant: str, scratch: Path) -> Image:
        """An image, read from its archive."""
        return archive.load(self._out(variant, "image.tar"), scratch)

    def _out(self, variant: str, name: str) -> Path:
        return self.folder / "out" / variant / name


@pytest.fixture(scope="module")
def built(upstream: StandIn) -> Built:
    """Both variants, built, tested and tagged."""
    folder = upstream.checkout("both")
    return Built(folder, upstream.build(folder, "--variant", "all"))


@pytest.fixture(scope="module")
def images(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Image]:
    """Both images from upstream."""
    return {name: built.image(name, tmp_path_factory.mktemp(name)) for name in VARIANTS}


@pytest.fixture(scope="module")
def own_images(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Image]:
    """Both images of the source packages."""
    return {
        name: archive.load(ROOT / f"out/{name}/image.tar", tmp_path_factory.mktemp(name))
        for name in VARIANTS
    }


def test_both_variants_build_and_pass_their_tests(built: Built) -> None:
    assert built.result.returncode == 0, built.result.stderr[-3000:]
    for variant in VARIANTS:
        assert re.search(rf"^» {variant} passed [0-9]+ checks$", built.result.stderr, re.MULTILINE)
        assert built.results(variant)["source"] == "upstream"


@pytest.mark.parametrize(
    ("variant", "command", "line"),
    [
        ("slim", "runsc --version", "runsc version release-20260622.0"),
        ("full", "runsc --version", "runsc version release-20260622.0"),
        ("full", "runc --version", "runc version 1.5.2"),
        ("full", "criu --version", "Version: 4.1.1"),
        ("full", "nvidia-ctk --version", "NVIDIA Container Toolkit CLI version 1.20.1"),
    ],
)
def test_image_runs(variant: str, command: str, line: str, built: Built, upstream: StandIn) -> None:
    assert built.result.returncode == 0
    found = upstream.docker("run", "--rm", f"worker:{variant}", *command.split())
    assert line in found.splitlines()


def test_only_the_hosts_of_the_list_were_asked(built: Built, upstream: StandIn) -> None:
    """The namespace has no route to others, and no build looked up another name."""
    assert built.result.returncode == 0
    routes = upstream.internet.run("cat", "/proc/net/route").stdout.splitlines()[1:]
    assert [each for each in routes if each.split()[1] == DEFAULT_ROUTE] == []
    lines = [line.split() for line in upstream.internet.requests()]
    assert {words[1] for words in lines if words[0] == "NAME"} <= HOSTS
    assert {hosts.HUB, hosts.BUCKET, hosts.ASSETS, hosts.NVIDIA, hosts.DEBIAN} <= {
        words[1] for words in lines if words[0] == "GET"
    }


def test_packages_of_the_base_differ_as_listed(
    images: Mapping[str, Image], own_images: Mapping[str, Image]
) -> None:
    """Debian's image has apt and what apt needs; both sources have all of our packages."""
    own = set(dpkg.installed(own_images["slim"]))
    entry = images["slim"].find("/var/lib/dpkg/status")
    assert entry
    records = images["slim"].read(entry).decode().split("\n\n")
    fields = [dict(re.findall("^([A-Z][A-Za-z-]+): (.*)$", each, re.MULTILINE)) for each in records]
    found = {each["Package"] for each in fields if each.get("Status") == "install ok installed"}
    assert sorted(found - own) == DIFFERENCES["packages"]["upstream"]
    assert sorted(own - found) == DIFFERENCES["packages"]["packages"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_paths_of_components_differ_as_listed(
    variant: str, images: Mapping[str, Image], own_images: Mapping[str, Image]
) -> None:
    """The layers of components have equal paths, except those that only one source provides."""
    # The base: one layer of this project; two of upstream, Debian's and this project's.
    found, own = _paths(images[variant], 2), _paths(own_images[variant], 1)
    for source, paths in {"upstream": found - own, "packages": own - found}.items():
        patterns = DIFFERENCES["paths"][source] if variant == "full" else []
        used = {path: [each for each in patterns if fnmatch(path, each)] for path in paths}
        assert not [path for path in used if not used[path]]
        assert {each for found in used.values() for each in found} == set(patterns)


def _paths(image: Image, begin: int) -> set[str]:
    return {
        entry.path for entry in image.entries if entry.layer >= begin and entry.kind != "folder"
    }


def test_no_image_holds_another_libcuda(images: Mapping[str, Image]) -> None:
    """NVIDIA's base image has one in compat/."""
    paths = [entry.path for image in images.values() for entry in image.entries]
    assert "/usr/local/cuda" in paths
    assert not [path for path in paths if "libcuda.so" in path or "/compat" in path]


@pytest.fixture(scope="module")
def mirrored(built: Built, upstream: StandIn) -> Built:
    """full with a release of gVisor that publishes archives, all from a mirror with logins."""
    assert built.result.returncode == 0
    folder = upstream.checkout("mirrored")
    checkout.use_newer_gvisor(folder, upstream.digests)
    checkout.use_mirrors(folder)
    checkout.write_logins(upstream.internet.folder / "home")
    # Without what the engine keeps of earlier builds.
    upstream.docker("rmi", "--force", *(f"worker:{variant}" for variant in VARIANTS))
    upstream.docker("builder", "prune", "--all", "--force")
    shutil.rmtree(upstream.internet.cache / "worker-images/files")
    away = [name for name in hosts.NAMES if name != hosts.MIRROR]
    with upstream.internet.faults(*({"host": name, "kind": "away"} for name in away)):
        return Built(folder, upstream.build(folder, "--variant", "full", "--no-cache"))


def test_release_with_helper_programs_builds(mirrored: Built, tmp_path: Path) -> None:
    """runsc and its helpers come from one archive, whose SHA-512 versions.yaml pins."""
    assert mirrored.result.returncode == 0, mirrored.result.stderr[-3000:]
    assert "full passed" in mirrored.result.stderr
    image = mirrored.image("full", tmp_path)
    folder = "/usr/local/bin/gvisor-bin"
    helpers = {entry.path: entry.mode for entry in image.entries if f"{folder}/" in entry.path}
    assert f"{folder}/gvisor_sentry" in helpers
    assert set(helpers.values()) == {0o755}
    assert not image.find("/usr/local/bin/containerd-shim-runsc-v1")
    assert image.labels["worker.gvisor-version"] == NEWER_GVISOR


def test_mirror_with_a_login_serves_a_whole_build(mirrored: Built, upstream: StandIn) -> None:
    """All other hosts are away; files, images and both apt repositories come from the mirror."""
    assert mirrored.result.returncode == 0, mirrored.result.stderr[-3000:]
    paths = [line for line in upstream.internet.requests() if hosts.MIRROR in line]
    for part in ("/v2/docker-hub/library/debian/", "/v2/docker-hub/nvidia/cuda/", "gvisor.tar.bz2"):
        assert [line for line in paths if part in line]
    for folder in ("github", "gvisor", "nvidia", "debian"):
        assert [line for line in paths if f"/artifactory/{folder}/" in line]


def test_login_of_a_mirror_is_kept_nowhere(mirrored: Built, tmp_path: Path) -> None:
    """Neither in a layer, nor in the configuration, a log, a record or the bake file."""
    secret = hosts.PASSWORD.encode()
    assert secret not in f"{mirrored.result.stdout}{mirrored.result.stderr}".encode()
    files = [path for path in (mirrored.folder / "out").rglob("*") if path.is_file()]
    assert (mirrored.folder / "out/full/build.log") in files
    assert not [path for path in files if path.name != "image.tar" and secret in path.read_bytes()]
    image = mirrored.image("full", tmp_path)
    assert secret not in json.dumps(image.config).encode()
    assert not [
        entry.path
        for entry in image.entries
        if entry.kind == "file" and secret in image.read(entry)
    ]
