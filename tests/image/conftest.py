"""The judged image as its archive tells it, and as one open shell in a container of it shows it."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from worker_images.files import ROOT
from worker_images.harness import closed_world, expect, shell
from worker_images.harness.closed_world import Control, Declared
from worker_images.harness.collection import COLLECTED, Case
from worker_images.harness.plugin import UNPRIVILEGED, Subject, told
from worker_images.model import rootfs
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS, Release
from worker_images.model.oci import archive, elf
from worker_images.model.oci.image import Image, ImageError

Contained = Callable[..., CommandResult]


@pytest.fixture(scope="session")
def image(
    subject: Subject,
    tmp_path_factory: pytest.TempPathFactory,
    record_testsuite_property: Callable[[str, object], None],
    case: Case,
    pytestconfig: pytest.Config,
) -> Image:
    """Every layer and the configuration.

    The JUnit file says which image it was, and which checks there are.
    """
    with told():
        found = archive.load(subject.archive, tmp_path_factory.mktemp("layers"), case.architecture)
        # An archive may tell two images; an engine names the one that it took by its manifest or
        # its configuration.
        if subject.identity not in found.digests:
            raise ImageError(
                f"{subject.archive}: read was {found.digest}, the engine took {subject.identity}"
            )
    record_testsuite_property("image_id", found.image_id)
    record_testsuite_property("engine_id", subject.identity)
    checks: set[str] = pytestconfig.stash[COLLECTED]
    record_testsuite_property("checks", json.dumps(sorted(checks)))
    return found


def opened(container: str, backend: str) -> Iterator[Host]:
    """A shell in a container, alive before and after."""
    shell.register()
    found = testinfra.get_host(f"{backend}://{container}")
    # A positive control before anything is called absent: this is a shell, and it answers.
    assert found.run("echo alive").stdout == "alive\n"
    yield found
    assert found.run("echo alive").stdout == "alive\n"
    if isinstance(found.backend, shell.ShellBackend):
        found.backend.close()


@pytest.fixture(scope="session")
def host(container: str, case: Case) -> Iterator[Host]:
    """A shell as root, whoever a derived image runs as."""
    yield from opened(f"0@{container}", case.backend)


@pytest.fixture(scope="session")
def unprivileged(container: str, case: Case) -> Iterator[Host]:
    """A shell as a user with no name and no rights."""
    yield from opened(f"{UNPRIVILEGED}@{container}", case.backend)


@pytest.fixture(scope="session")
def release(case: Case) -> str:
    """The gVisor release that both sources share."""
    return case.pins.components["gvisor"].version


@pytest.fixture(scope="session")
def contract(release: str) -> Release:
    """What this gVisor release serves and knows, by the table of all releases."""
    (row,) = [each for each in table.read(ROOT / DRIVERS) if each.name == release]
    return row


@pytest.fixture(scope="session")
def runsc(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runsc of the image, copied out of its layer."""
    entry = image.find("/usr/local/bin/runsc")
    assert entry, "no /usr/local/bin/runsc in any layer"
    target = tmp_path_factory.mktemp("runsc") / "runsc"
    image.extract(entry, target)
    return target


@pytest.fixture(scope="session")
def packages(image: Image) -> Mapping[str, Control]:
    """What the image says is installed.

    Nothing where Debian's own image is the base, whose records are others.
    """
    return closed_world.installed(image)


@pytest.fixture(scope="session")
def declared(packages: Mapping[str, Control], case: Case) -> dict[str, Declared]:
    """What the components and the base say of their paths, and Debian of its packages', which is
    the last word.
    """
    holders: dict[str, expect.Holding] = {
        name: expect.component(ROOT, name) for name in case.components
    }
    holders["base"] = expect.base(ROOT)
    own = {
        path: Declared(name, entry, holder.sha256.get(path))
        for name, holder in holders.items()
        for path, entry in holder.declared.items()
    }
    with told():
        return own | closed_world.of_packages(
            closed_world.debs(
                packages,
                case.pins.debian,
                case.lock.packages[case.architecture],
                case.architecture,
                every=case.mode == "built",
            ),
            rootfs.load(ROOT),
        )


@pytest.fixture(scope="session")
def programs(image: Image, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The main package of every Go program in any layer, by path, whatever its name and mode."""
    copy = tmp_path_factory.mktemp("programs") / "program"
    found = {}
    for entry in image.entries:
        if entry.kind == "file" and entry.size >= 1 << 20:
            image.extract(entry, copy)
            with contextlib.suppress(elf.ElfError):
                found[entry.path] = elf.build_info(copy).path
    return found


@pytest.fixture(scope="session")
def bundle(unprivileged: Host) -> str:
    """A folder with an OCI bundle whose root holds the image's own /usr, and no more."""
    folder = str(unprivileged.check_output("mktemp -d"))
    unprivileged.check_output(
        f"cd {folder} && mkdir -p rootfs/usr rootfs/proc rootfs/dev rootfs/sys && runc spec"
        " --rootless"
    )
    unprivileged.check_output(f"ln -s usr/bin usr/lib usr/lib64 {folder}/rootfs/")
    return folder


@pytest.fixture(scope="session")
def contained(unprivileged: Host, bundle: str, *, user_namespaces: bool) -> Contained:
    """Run a shell command in a container that a runtime of the image makes: no root, no capability,
    a filter of system calls.
    """
    assert user_namespaces
    specification = json.loads(unprivileged.file(f"{bundle}/config.json").content_string)
    specification["mounts"].insert(
        0, {"destination": "/usr", "type": "none", "source": "/usr", "options": ["rbind", "ro"]}
    )
    specification["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    }

    def run(runtime: str, command: str, *environment: str, action: str = "run") -> CommandResult:
        process = specification["process"] | {"terminal": False, "args": ["sh", "-c", command]}
        process["env"] = [*process["env"], *environment]
        text = json.dumps(specification | {"process": process})
        unprivileged.check_output("printf %%s %s > %s/config.json", text, bundle)
        return unprivileged.run(f"cd {bundle} && {runtime} --root {bundle}/state {action} check")

    return run
