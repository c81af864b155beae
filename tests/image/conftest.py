"""Fixtures of the image layer: the image as an archive, and as shells in containers of it."""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import testinfra
from testinfra.backend.base import CommandResult
from testinfra.host import Host

from tests.support.runsc_checks import RunRunsc
from worker_images.engine.endpoint import Endpoint
from worker_images.harness import closed_world, derived, dpkg, expect, shell
from worker_images.harness.closed_world import Declared
from worker_images.harness.collection import Case
from worker_images.harness.dpkg import Installed
from worker_images.harness.options import require_trust
from worker_images.harness.plugin import (
    CHECKPOINTS,
    SANDBOXES,
    one_line_errors,
    require_host_architecture,
)
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS, Release
from worker_images.model.oci import elf
from worker_images.model.oci.image import Image
from worker_images.model.tree import Tree
from worker_images.node.place import RUNSC
from worker_images.node.place import CommandResult as Answer

RunInContainer = Callable[..., CommandResult]


@pytest.fixture(scope="session")
def known_images(case: Case) -> list[list[str]]:
    """The diffIDs of each worker image from which a derived image may be made."""
    return derived.known_images(case.root, case.variant, case.components, case.architecture)


@pytest.fixture(scope="session")
def worker(image: Image, known_images: list[list[str]], case: Case) -> Image:
    """The worker image: all of a built image, and the first layers of a derived one."""
    return image if case.mode == "built" else derived.worker_part(image, known_images)


def open_shell(container: str, backend: str) -> Iterator[Host]:
    """A shell in a container; it must respond before and after the checks."""
    shell.register()
    found = testinfra.get_host(f"{backend}://{container}")
    # The control of all checks for absence: the shell responds.
    assert found.run("echo alive").stdout == "alive\n"
    yield found
    own = found.backend if isinstance(found.backend, shell.ShellBackend) else None
    # The check that lost the shell has already failed.
    if not (own and own.lost):
        assert found.run("echo alive").stdout == "alive\n"
    if own:
        own.close()


@pytest.fixture(scope="session")
def host(container: str, case: Case) -> Iterator[Host]:
    """A shell as root, also where a derived image sets another user."""
    yield from open_shell(f"0@{container}", case.backend)


@pytest.fixture(scope="session")
def trusted(image: Image, case: Case, pytestconfig: pytest.Config) -> str:
    """The ID of an image whose programs may get more privileges; other images are not run."""
    require_host_architecture(pytestconfig)
    require_trust(pytestconfig, "image", case.root, image.image_id)
    return image.image_id


@pytest.fixture(scope="session")
def unprivileged(trusted: str, endpoint: Endpoint, engine_id: str, case: Case) -> Iterator[Host]:
    """A shell in a container of its own that can create sandboxes, without root."""
    assert trusted
    with endpoint.images.container(engine_id, SANDBOXES) as container:
        yield from open_shell(container, case.backend)


@pytest.fixture(scope="session")
def checkpoint_container(trusted: str, endpoint: Endpoint, engine_id: str) -> Iterator[str]:
    """A container of its own, with the capabilities that CRIU needs."""
    assert trusted
    with endpoint.images.container(engine_id, CHECKPOINTS) as container:
        yield container


@pytest.fixture(scope="session")
def release(case: Case) -> str:
    """The pinned gVisor release, the same for both sources."""
    return case.pins.components["gvisor"].version


@pytest.fixture(scope="session")
def contract(case: Case, release: str) -> Release:
    """The drivers that this gVisor release serves and knows, from the table of all releases."""
    drivers = table.read(Tree(case.root).find(DRIVERS))
    (row,) = [each for each in drivers if each.name == release]
    return row


@pytest.fixture(scope="session")
def runsc(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the image's runsc, outside the image."""
    entry = image.find("/usr/local/bin/runsc")
    assert entry, "no /usr/local/bin/runsc in any layer"
    target = tmp_path_factory.mktemp("runsc") / "runsc"
    image.extract(entry, target)
    return target


@pytest.fixture(scope="session")
def run_runsc(host: Host) -> RunRunsc:
    """Run the image's runsc."""

    def run(*words: str) -> Answer:
        answer = host.run(" ".join([RUNSC, *words]))
        return Answer(answer.rc, answer.stdout, answer.stderr)

    return run


@pytest.fixture(scope="session")
def packages(image: Image) -> Mapping[str, Installed]:
    """The Debian packages that the image records.

    Empty for the source `upstream`, whose base is Debian's own image.
    """
    with one_line_errors():
        return dpkg.installed(image)


@pytest.fixture(scope="session")
def declared(packages: Mapping[str, Installed], case: Case) -> dict[str, Declared]:
    """The paths that components, base and Debian packages declare; the packages take precedence."""
    owners: dict[str, expect.Holding] = {
        name: expect.component(case.root, name, case.architecture) for name in case.components
    }
    owners["base"] = expect.base(case.root)
    own = {
        path: Declared(name, entry, owner.sha256.get(path))
        for name, owner in owners.items()
        for path, entry in owner.declared.items()
    }
    with one_line_errors():
        return own | closed_world.declared_by_packages(
            closed_world.debs(
                packages,
                case.pins.debian,
                case.lock.packages[case.architecture],
                case.architecture,
                every=case.mode == "built",
            ),
            case.rules,
        )


@pytest.fixture(scope="session")
def programs(image: Image, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The main package of each Go program in any layer, by path."""
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
    """The path of an OCI bundle whose root holds only the image's /usr."""
    folder = str(unprivileged.check_output("mktemp -d"))
    unprivileged.check_output(
        f"cd {folder} && mkdir -p rootfs/usr rootfs/proc rootfs/dev rootfs/sys && runc spec"
        " --rootless"
    )
    unprivileged.check_output(f"ln -s usr/bin usr/lib usr/lib64 {folder}/rootfs/")
    return folder


@pytest.fixture(scope="session")
def run_in_container(unprivileged: Host, bundle: str, *, user_namespaces: bool) -> RunInContainer:
    """Run a shell command in a container of a runtime in the image.

    The container has no root, no capability, and a seccomp filter that blocks mkdir.
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
