"""Go programs, compared with the modules of the lock."""

from dataclasses import replace

import pytest

from tests.support.elf_files import go_program, library
from tests.support.members import file
from tests.unit.release.conftest import Loaded
from worker_images.build.inputs import Text
from worker_images.build.plan import Plan
from worker_images.errors import PolicyError
from worker_images.model import lock
from worker_images.model.lock import Patch
from worker_images.model.oci.image import Image
from worker_images.release.gomodules import Built, Module, built
from worker_images.release.owners import Program

RUNC = "github.com/opencontainers/runc"
SUM = f"{RUNC} v1.5.2 h1:own=\n{RUNC} v1.5.2/go.mod h1:mod=\nexample.org/b v1.0.0 h1:b=\n"
PROGRAM = f"path\t{RUNC}\nmod\t{RUNC}\tv1.5.2\th1:own=\ndep\texample.org/b\tv1.0.0\th1:b=\n"


@pytest.fixture
def plan(full: Plan) -> Plan:
    """A plan of runc alone, with two modules."""
    components = tuple(each for each in full.components if each.name == "runc")
    text = Text("runc", "components/runc/go.sum", SUM)
    return replace(full, components=components, inputs=(text,), toolchain="1.26.11")


def programs(image: Image, component: str = "runc") -> list[Program]:
    return [Program(entry, "0" * 64, component) for entry in image.entries]


def test_modules_are_read_from_a_program(loaded: Loaded, plan: Plan) -> None:
    image = loaded([file("runc", go_program(PROGRAM))])
    (found,) = programs(image)
    modules = (Module("example.org/b", "v1.0.0", "h1:b="), Module(RUNC, "v1.5.2", "h1:own="))
    assert built(image, [found], plan) == (Built(found, "1.26.11", RUNC, modules),)


def test_program_without_build_information_has_no_modules(loaded: Loaded, plan: Plan) -> None:
    image = loaded([file("usr/lib/liba.so", library(("libc.so.6",)))])
    assert built(image, programs(image, "base"), plan) == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (library(("libc.so.6",)), "has no valid Go build information"),
        (go_program(PROGRAM, go="go1.27.0"), "compiled by Go 1.27.0 instead of 1.26.11"),
        (
            go_program(PROGRAM.replace(f"path\t{RUNC}", "path\texample.org/x")),
            "is the command example.org/x, which runc does not have",
        ),
        (
            go_program(PROGRAM.replace("b\tv1.0.0", "b\tv1.0.1")),
            "example.org/b v1.0.1 h1:b= is not in go.sum",
        ),
        (
            go_program(PROGRAM.replace("h1:b=", "h1:other=")),
            "example.org/b v1.0.0 h1:other= is not in go.sum",
        ),
        (go_program(PROGRAM.replace("\th1:b=", "")), "example.org/b v1.0.0  is not in go.sum"),
        (
            go_program(f"{PROGRAM}=>\texample.org/fork\tv1.0.0\th1:b=\n"),
            "example.org/b replaced by example.org/fork v1.0.0 h1:b= is not in go.sum",
        ),
    ],
)
def test_program_that_differs_from_the_lock_is_refused(
    data: bytes, message: str, loaded: Loaded, plan: Plan
) -> None:
    image = loaded([file("runc", data)])
    with pytest.raises(PolicyError, match="build the image again") as refused:
        built(image, programs(image), plan)
    assert f"/runc: {message}" in str(refused.value)


LOCKED = lock.Module(RUNC, "v1.5.2", (RUNC,), "", "", 0)
FORK = "example.org/fork v1.0.0 h1:fork="
PATCHES = (Patch("0001-a.patch", "1" * 64),)
TREE = "2" * 64
BY_FORK = f"path\t{RUNC}\nmod\t{RUNC}\tv1.5.2\n=>\texample.org/fork\tv1.0.0\th1:fork=\n"
BY_PATCHES = f"path\t{RUNC}\nmod\t{RUNC}\tv1.5.2\n=>\t./patched/{TREE}\t(devel)\t\n"


def changed(plan: Plan, **changes: object) -> Plan:
    """The plan of a fork or of patches of runc."""
    (runc,) = plan.components
    module = replace(LOCKED, **changes)  # type: ignore[arg-type]
    text = Text("runc", "components/runc/go.sum", f"{SUM}{FORK}\n")
    return replace(plan, components=(replace(runc, module=module),), inputs=(text,))


@pytest.mark.parametrize(
    ("changes", "text", "expected"),
    [
        (
            {"replace": FORK},
            BY_FORK,
            Module("example.org/fork", "v1.0.0", "h1:fork=", replaces=RUNC),
        ),
        (
            {"patches": PATCHES, "tree": TREE},
            BY_PATCHES,
            Module(RUNC, "v1.5.2", "h1:own=", patches=PATCHES),
        ),
        (
            {"replace": FORK, "patches": PATCHES, "tree": TREE},
            BY_PATCHES,
            Module("example.org/fork", "v1.0.0", "h1:fork=", RUNC, PATCHES),
        ),
    ],
)
def test_fork_and_patches_are_named_as_the_lock_names_them(
    changes: dict[str, object], text: str, expected: Module, loaded: Loaded, plan: Plan
) -> None:
    image = loaded([file("runc", go_program(text))])
    (found,) = built(image, programs(image), changed(plan, **changes))
    assert found.modules == (expected,)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"replace": FORK}, PROGRAM.replace("h1:own=", "h1:other=")),
        ({"replace": FORK}, BY_FORK.replace("h1:fork=", "h1:other=")),
        ({"replace": FORK}, BY_PATCHES),
        ({"patches": PATCHES, "tree": TREE}, BY_PATCHES.replace("2", "3")),
        ({"patches": PATCHES, "tree": TREE}, BY_FORK),
        ({}, BY_FORK),
        ({}, BY_PATCHES),
    ],
)
def test_program_of_another_fork_or_of_other_patches_is_refused(
    changes: dict[str, object], text: str, loaded: Loaded, plan: Plan
) -> None:
    image = loaded([file("runc", go_program(text))])
    with pytest.raises(PolicyError, match=r"is not in go\.sum"):
        built(image, programs(image), changed(plan, **changes))


@pytest.mark.parametrize("changes", [{"replace": FORK}, {"patches": PATCHES, "tree": TREE}])
def test_program_without_the_fork_or_the_patches_is_refused(
    changes: dict[str, object], loaded: Loaded, plan: Plan
) -> None:
    image = loaded([file("runc", go_program(PROGRAM))])
    with pytest.raises(PolicyError, match=f"{RUNC} v1.5.2 h1:own= is not "):
        built(image, programs(image), changed(plan, **changes))
