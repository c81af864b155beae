"""The command explain on logs of pods, whose later containers have no sandbox of their own."""

import os
from pathlib import Path

import pytest

from worker_images.node.explain import logs

BEGIN = "Creating new sandbox for container, cid: a\n"
NOT_FOUND = "FATAL ERROR: loading container: not found\n"
CALL = 'FATAL ERROR: urpc method "containerManager.StartSubcontainer" failed: EOF\n'
FAILED = "FATAL ERROR: failed to locate nvidia-container-cli in PATH\n"


def written(folder: Path, rows: dict[str, str]) -> None:
    for moment, (name, text) in enumerate(rows.items(), start=1):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (moment, moment))


def found(folder: Path) -> list[list[str]]:
    return [[str(file.relative_to(folder)) for file in run.files] for run in logs.runs([folder])]


@pytest.mark.parametrize(
    ("text", "count"), [("", 1), ("restoring\n", 1), (CALL, 1), (BEGIN, 2), (FAILED, 2)]
)
def test_later_container_is_in_the_run_of_the_sandbox(
    text: str, count: int, tmp_path: Path
) -> None:
    """A command without a boot is a run only if it created a sandbox, or failed without one."""
    written(
        tmp_path,
        {
            "20261124-160000.1.create.txt": BEGIN,
            "20261124-160000.1.boot.txt": "",
            "20261124-160000.1.gofer.txt": "",
            "20261124-160003.1.create.txt": text,
            "20261124-160003.1.gofer.txt": "",
        },
    )
    assert len(found(tmp_path)) == count


def test_every_command_is_a_run_without_any_boot(tmp_path: Path) -> None:
    written(tmp_path, {"20261124-160000.1.create.txt": "", "20261124-160003.1.create.txt": ""})
    assert len(found(tmp_path)) == 2


def test_folder_of_a_later_container_is_in_the_run_of_the_nearest_sandbox(tmp_path: Path) -> None:
    """The names of these logs have no time; runsc delete of a container can fail."""
    written(
        tmp_path,
        {
            "old/gvisor.create.log": BEGIN,
            "old/gvisor.boot.log": "",
            "container/gvisor.create.log": "",
            "container/gvisor.delete.log": NOT_FOUND,
            "other/dmesg": "",
            "failed/gvisor.create.log": FAILED,
            "between": "",
            "new/gvisor.boot.log": "",
        },
    )
    (tmp_path / "between").unlink()
    assert found(tmp_path) == [
        ["new/gvisor.boot.log"],
        ["failed/gvisor.create.log"],
        ["other/dmesg"],
        [
            "old/gvisor.boot.log",
            "old/gvisor.create.log",
            "container/gvisor.create.log",
            "container/gvisor.delete.log",
        ],
    ]


def test_sandboxes_of_the_same_time_are_all_kept(tmp_path: Path) -> None:
    written(tmp_path, {"a/gvisor.boot.log": "", "b/gvisor.boot.log": ""})
    for name in "ab":
        os.utime(tmp_path / name / "gvisor.boot.log", (1, 1))
    assert found(tmp_path) == [["a/gvisor.boot.log"], ["b/gvisor.boot.log"]]
