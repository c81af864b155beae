"""A pod is a place where runsc runs if it has the node's root."""

from collections.abc import Callable
from pathlib import Path

import pytest

from worker_images.node import place
from worker_images.node.place import CommandResult, PlaceError, RunningContainer
from worker_images.node.pod import kubectl
from worker_images.node.pod import place as pods
from worker_images.node.pod.kubectl import Pod

RIGHTS = "Seccomp:\t0\nCapEff:\t{}\n"
ROOT, NOTHING = "00000000802430fb", "0000000000000000"
Answer = Callable[[str, str], None]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Give a pod a user, files that it lacks, and capabilities."""

    def give(looked: str, capabilities: str) -> None:
        answers = iter([looked, RIGHTS.format(capabilities)])
        monkeypatch.setattr(kubectl, "find", lambda pod: (pod, {}))
        monkeypatch.setattr(place, "run", lambda *_: CommandResult(0, next(answers), ""))

    return give


def test_pod_of_an_unprivileged_user_runs_rootless(answer: Answer, tmp_path: Path) -> None:
    answer("1000\n", NOTHING)
    found = pods.of(Pod("lab", container="worker"), tmp_path)
    assert (found.flags, found.user) == (("--rootless",), 1000)
    begin = ("kubectl", "--context=lab", "--namespace=default", "exec", "worker")
    assert found.argv(["id"]) == [*begin, "--container=worker", "--", "id"]


def test_pod_with_the_capabilities_of_runsc_needs_no_flag(answer: Answer, tmp_path: Path) -> None:
    answer("0\n", ROOT)
    found = pods.of(Pod("lab"), tmp_path)
    assert (found.flags, found.user) == ((), 0)


def test_pod_without_the_root_of_the_node_is_refused(answer: Answer, tmp_path: Path) -> None:
    answer(f"0\n/user\n/host{tmp_path}\n", ROOT)
    with pytest.raises(PlaceError, match=f"has no /user, /host{tmp_path}; add the component"):
        pods.of(Pod("lab"), tmp_path)


@pytest.mark.parametrize(
    ("errors", "kept"),
    [
        ("no file\ncommand terminated with exit code 3\n", "no file\n"),
        ("command terminated with exit code 3\n", ""),
        ("no file\n", "no file\n"),
    ],
)
def test_errors_of_a_command_lack_the_line_of_kubectl(errors: str, kept: str) -> None:
    command = ["sh", "-c", 'printf "%s" "$1" >&2; exit 3', "sh", errors]
    found = place.run(RunningContainer((), "a pod"), command)
    assert (found.status, found.errors) == (3, kept)
