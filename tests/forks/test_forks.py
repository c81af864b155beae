"""Are forks and patches of Go components built, tested and named in all documents?"""

import functools
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support import commands, forks
from tests.support.loopback import background
from worker_images.build import plan, requirements
from worker_images.engine.endpoint import Endpoint
from worker_images.fetch import gomod
from worker_images.fetch.store import Store
from worker_images.files import ROOT, text_digest
from worker_images.model import project
from worker_images.model.lock import Lock
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image
from worker_images.model.tree import Tree
from worker_images.release import sbom

VARIANT = "changed"
GVISOR = "gvisor.dev/gvisor"
RUNC, FORK = "github.com/opencontainers/runc", "fork.example/team/runc"
PATCH = "images/components/gvisor/patches/0001-version.patch"
CHANGED = "runsc/cli/cli.go"
LINE = '\t\tfmt.Fprintf(os.Stdout, "spec: %s\\n", specutils.Version)\n'
ADDED = '\t\tfmt.Fprintf(os.Stdout, "changed by the patch\\n")\n'


@dataclass(frozen=True)
class Checkout:
    """A copy of the checkout, in which gVisor has a patch and runc is a fork."""

    folder: Path
    environment: dict[str, str]
    proxy: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run build.py in the copy."""
        command = [str(ROOT / ".venv/bin/python"), "build.py", *arguments]
        return commands.run(command, cwd=self.folder, env=self.environment)

    @property
    def lock(self) -> Lock:
        return Lock.read(self.folder / "versions.lock")

    def with_lock(self, old: str, new: str) -> None:
        """Change the lock by hand."""
        path = self.folder / "versions.lock"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


@pytest.fixture(scope="module")
def address() -> str:
    """An address of this machine that containers reach; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def proxy(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A module proxy that has a fork of runc and nothing else, and its folder."""
    folder = tmp_path_factory.mktemp("proxy")
    forks.publish(module_zip("runc", RUNC), folder, FORK, "v1.5.2-team.1")
    handler = functools.partial(forks.Silent, directory=str(folder))
    with ThreadingHTTPServer((address, 0), handler) as server, background(server):
        yield f"http://{address}:{server.server_port}", folder


@pytest.fixture(scope="module")
def checkout(
    endpoint: Endpoint, proxy: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checkout]:
    """The copy, with a variant of gVisor and runc."""
    copy = tmp_path_factory.mktemp("forks") / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", "out", "__pycache__", ".*_cache")
    shutil.copytree(ROOT, copy, ignore=ignored)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    forks.write_variant(copy, VARIANT, "gvisor", "runc")
    forks.replace_module(copy, RUNC, FORK, "v1.5.2-team.1")
    before = forks.source(module_zip("gvisor", GVISOR), CHANGED)
    patch = forks.difference(CHANGED, before, before.replace(LINE, LINE + ADDED))
    (copy / PATCH).parent.mkdir()
    (copy / PATCH).write_text(patch)
    environment = {
        **os.environ,
        "DOCKER_HOST": endpoint.host,
        "GOPROXY": f"{proxy[0]},{gomod.PROXY}",
        "GONOSUMDB": FORK,
        "no_proxy": proxy[0].split("/")[2].split(":")[0],
    }
    yield Checkout(copy, environment, proxy[1])
    commands.run(["docker", "image", "rm", f"worker:{VARIANT}"], env=environment)
    shutil.rmtree(copy)


@pytest.fixture(scope="module")
def accepted(checkout: Checkout) -> "subprocess.CompletedProcess[str]":
    """The result of `accept`, which resolves, builds and tests."""
    done = checkout.run("accept", VARIANT)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def image(
    checkout: Checkout,
    accepted: "subprocess.CompletedProcess[str]",
    tmp_path_factory: pytest.TempPathFactory,
) -> Image:
    assert accepted
    return archive.load(
        checkout.folder / "out" / VARIANT / "image.tar", tmp_path_factory.mktemp("layers")
    )


def module_zip(component: str, module: str) -> Path:
    """The zip of a pinned module."""
    files = gomod.of_component(Tree(ROOT), component)
    (wanted,) = [each for each in files if each.path == module and not each.mod]
    return Store().modules([wanted])[0]


@pytest.mark.usefixtures("accepted")
def test_lock_has_the_digest_of_the_patch_and_of_the_patched_sources(checkout: Checkout) -> None:
    locked = checkout.lock.modules["gvisor"]
    assert [each.name for each in locked.patches] == [Path(PATCH).name]
    assert locked.patches[0].sha256 == text_digest((checkout.folder / PATCH).read_text())
    changed = {CHANGED: lambda text: text.replace(LINE, LINE + ADDED)}
    assert locked.tree == forks.tree(module_zip("gvisor", GVISOR), changed)


def test_accept_builds_and_tests_the_patched_and_the_forked_program(
    checkout: Checkout, image: Image
) -> None:
    """The checks of the image compare the programs' build information with the lock."""
    checks = (checkout.folder / "out" / VARIANT / "image.xml").read_text()
    assert 'name="test_runsc_matches_its_pin"' in checks
    assert 'name="test_runc_modules_match_go_sum"' in checks
    gvisor, runc = (checkout.lock.modules[name] for name in ("gvisor", "runc"))
    assert runc.replace.startswith(f"{FORK} v1.5.2-team.1 h1:")
    own = {
        name.removeprefix("worker."): text
        for name, text in image.labels.items()
        if name.startswith(("worker.gvisor", "worker.runc"))
    }
    assert own == {
        "gvisor-version": own["gvisor-version"],
        "gvisor-patches": f"{Path(PATCH).name}@sha256:{gvisor.patches[0].sha256}",
        "gvisor-patched": f"sha256:{gvisor.tree}",
        "runc-version": "1.5.2+fork",
        "runc-fork": runc.replace,
    }
    assert own["gvisor-version"].endswith("+patches.1")


@pytest.mark.usefixtures("accepted")
def test_programs_report_the_fork_and_the_patches(checkout: Checkout, endpoint: Endpoint) -> None:
    record = json.loads((checkout.folder / "out" / VARIANT / "build.json").read_text())
    with endpoint.images.container(record["engine_id"]) as container:
        run = functools.partial(commands.run, env={**os.environ, "DOCKER_HOST": endpoint.host})
        program = ["docker", "exec", container]
        runsc = run([*program, "runsc", "--version"]).stdout.splitlines()
        runc = run([*program, "runc", "--help"]).stdout
    assert runsc[0] == f"runsc version release-{record['versions']['gvisor']}"
    assert runsc[0].endswith("+patches.1")
    assert runsc[2] == "changed by the patch"
    assert forks.MARK in runc
    place = PATCH.removeprefix("images/")
    assert record["key"][place] == checkout.lock.modules["gvisor"].patches[0].sha256


def test_sbom_names_the_fork_and_the_patches(checkout: Checkout, image: Image) -> None:
    loaded = project.load(checkout.folder)
    locked = requirements.load(loaded)
    planned = plan.make(loaded, locked, VARIANT, "packages")
    found = json.loads(sbom.document(image, planned, loaded, locked))
    rows = {each["name"]: each for each in found["components"] if "purl" in each}
    fork = {each["name"]: each["value"] for each in rows[FORK]["properties"]}
    assert rows[FORK]["purl"] == f"pkg:golang/{FORK}@v1.5.2-team.1"
    assert fork == {
        "worker:go-sum": locked.modules["runc"].replace.split()[2],
        "worker:replaces": RUNC,
    }
    patched = {each["name"]: each["value"] for each in rows[GVISOR]["properties"]}
    assert patched["worker:patches"] == str(locked.modules["gvisor"].patches[0])
    assert RUNC not in rows


@pytest.mark.usefixtures("accepted")
def test_patch_that_does_not_apply_names_file_and_hunk(checkout: Checkout) -> None:
    text = (checkout.folder / PATCH).read_text()
    other = text.replace(" " + LINE, " " + LINE.replace("spec", "other"))
    undo = forks.kept(checkout.folder / PATCH, checkout.folder / "versions.lock")
    with undo:
        (checkout.folder / PATCH).write_text(other)
        checkout.with_lock(text_digest(text), text_digest(other))
        failed = checkout.run("--variant", VARIANT)
    assert failed.returncode == 4
    message = f"building: {PATCH} does not apply: {CHANGED}: Hunk #1 FAILED at "
    assert message in failed.stderr


@pytest.mark.usefixtures("accepted")
def test_sources_that_differ_from_the_lock_are_not_compiled(checkout: Checkout) -> None:
    tree = checkout.lock.modules["gvisor"].tree
    with forks.kept(checkout.folder / "versions.lock"):
        checkout.with_lock(tree, "0" * 64)
        failed = checkout.run("--variant", VARIANT)
    assert failed.returncode == 2
    assert "the digest of the patched sources is not that of versions.lock" in failed.stderr


@pytest.mark.usefixtures("accepted")
def test_fork_with_other_bytes_is_refused(checkout: Checkout) -> None:
    """Last, because the proxy has other bytes then."""
    fork = next(
        each
        for each in gomod.of_component(Tree(checkout.folder), "runc")
        if each.path == FORK and not each.mod
    )
    Store().modules([fork])[0].unlink()
    forks.publish(module_zip("runc", RUNC), checkout.proxy, FORK, "v1.5.2-team.1", mark="other")
    failed = checkout.run("--variant", VARIANT, "--print", "bake")
    assert failed.returncode == 3
    assert f"Go module {FORK} v1.5.2-team.1" in failed.stderr
    assert f"want {fork.sum}" in failed.stderr
