"""The linter reads the links that hooks of NVIDIA's toolkit create.

The answers are those of runsc release-20260622.0 with nvidia-cdi-hook 1.20.1.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support import launchers
from tests.support.launchers import answers
from tests.support.nodes import files
from tests.support.specifications import add_variable, changed
from worker_images.node.lint.lint import findings
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import Node
from worker_images.node.stand_in import DRIVER

FOLDER = "/usr/lib64"
FILE = f"libcuda.so.{DRIVER}"
LINK = f"{FILE}::{FOLDER}/libcuda.so.1"
STAGE = "createContainer"
Run = Callable[..., LaunchRequest]


@pytest.fixture
def run(tmp_path: Path, node: Node) -> Run:
    """Return a container whose hook has some words; libcuda is mounted without its link."""
    programs = tmp_path / "bin"
    files(programs, "nvidia-cdi-hook", "nvidia-ctk")
    for program in programs.iterdir():
        program.chmod(0o755)
    root = launchers.red_hat(tmp_path / "root")
    (root / "mounts").mkdir()

    def make(*words: str, program: str = "nvidia-cdi-hook", stage: str = STAGE) -> LaunchRequest:
        hook = {"path": f"{programs}/{program}", "args": [program, *words]}
        request = launchers.request(node, root, FOLDER, hooks={stage: [hook]})
        return changed(request, lambda each: each["mounts"].pop())

    return make


CREATE = "create-symlinks"
# The words of a hook, and the findings; F8 always has a note.
CREATED: tuple[tuple[Sequence[str], list[str]], ...] = (
    ((CREATE, "--link", LINK), []),
    ((CREATE, f"--link={LINK}"), []),
    ((CREATE, "-link", LINK), []),
    ((CREATE, "--link", f"{LINK},x::/y"), []),
    (("--debug", CREATE, "--link", LINK), []),
    ((CREATE, "--link", f"{FILE}::/lib64/libcuda.so.1"), []),
    ((CREATE, "--link", "x::/y", "--link", LINK), []),
    ((CREATE, "--link", f"none::{FOLDER}/libcuda.so.1", "--link", LINK), []),
    ((CREATE, "--link", LINK, "--link", f"none::{FOLDER}/libcuda.so.1"), ["F5 error"]),
    (("hook", CREATE, "--link", LINK), ["F5 error"]),
    ((CREATE,), ["F5 error"]),
    ((), ["F5 error"]),
    (("update-ldcache", "--folder", FOLDER), []),
)


def without_notes(request: LaunchRequest) -> list[str]:
    return [each for each in answers(request) if each != "F8 note"]


@pytest.mark.parametrize(("words", "expected"), CREATED)
def test_link_of_a_hook_is_there_when_the_program_starts(
    words: Sequence[str], expected: list[str], run: Run
) -> None:
    assert without_notes(run(*words)) == expected


def test_earlier_toolkit_has_the_command_in_nvidia_ctk(run: Run) -> None:
    words = ("hook", CREATE, "--link", LINK)
    assert without_notes(run(*words, program="nvidia-ctk")) == []


def test_link_of_a_hook_that_runsc_does_not_run_is_not_there(run: Run) -> None:
    words = (CREATE, "--link", LINK)
    skipped = run(*words, "disable-device-node-modification")
    assert without_notes(skipped) == ["F5 error"]
    assert without_notes(run(*words, stage="poststart")) == ["F5 error"]
    erofs = {"dev.gvisor.spec.rootfs.source": "/x", "dev.gvisor.spec.rootfs.type": "erofs"}
    found = answers(changed(run(*words), lambda each: each.update(annotations=erofs)))
    assert {"F8 warning", "F5 error"} <= {*found}


def test_link_below_a_tmpfs_is_not_there(run: Run) -> None:
    """The hook creates it in the root, which the sandbox's own mount hides."""
    request = run(CREATE, "--link", f"{FOLDER}/{FILE}::/opt/libcuda.so.1")
    request = changed(request, add_variable("LD_LIBRARY_PATH", "/opt"))
    assert without_notes(request) == []
    tmpfs = {"destination": "/opt", "type": "tmpfs", "source": "tmpfs"}
    assert without_notes(changed(request, lambda each: each["mounts"].insert(0, tmpfs))) == [
        "F5 error"
    ]


def test_link_of_a_hook_replaces_a_file_of_the_image(run: Run) -> None:
    request = run(CREATE, "--link", LINK)
    assert request.root
    (request.root / "usr/lib64/libcuda.so.1").write_bytes(b"another")
    assert without_notes(request) == []


# The link, the options of a folder that is mounted at /mounts, and why the hook fails.
FAILING: tuple[tuple[str, list[str], str], ...] = (
    ("a:b", ["rbind"], "not TARGET::PATH"),
    ("a::b::c", ["rbind"], "not TARGET::PATH"),
    ("x::/mounts/folder", ["rbind"], "/mounts/folder is a folder"),
    (f"x::{FOLDER}/{FILE}", ["rbind"], f"{FOLDER}/{FILE} is a mount"),
    ("x::/mounts/new", ["rbind", "ro"], "/mounts is mounted read-only"),
    ("x::/mounts/folder/new", ["rbind", "ro"], "/mounts is mounted read-only"),
    ("there::/mounts/link", ["rbind", "ro"], ""),
    ("other::/mounts/link", ["rbind", "ro"], "/mounts is mounted read-only"),
    ("x::/mounts/new", ["rbind"], ""),
    ("x::/run/new", ["rbind", "ro"], ""),
)


@pytest.mark.parametrize(("link", "options", "cause"), FAILING)
def test_link_that_a_hook_cannot_create_is_an_error(
    link: str, options: list[str], cause: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "folder/folder").mkdir(parents=True)
    (tmp_path / "folder/link").symlink_to("there")
    mount = {"source": f"{tmp_path}/folder", "destination": "/mounts", "options": options}
    request = run(CREATE, "--link", LINK, "--link", link)
    found = findings(changed(request, lambda each: each["mounts"].append(mount)))
    problems = [each.problem for each in found if each.severity == "error"]
    assert problems == (
        [f"--link {link}: {cause}: the hook fails, and runsc ends with EOF"] if cause else []
    )
