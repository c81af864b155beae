"""Each side starts the same program: on the node, in the sandbox's root, and in sandboxes."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from worker_images.files import ROOT
from worker_images.node.cli import main
from worker_images.node.huge_pages import SETTINGS, chosen
from worker_images.node.measure import start_sides
from worker_images.node.measure.start_options import DEFAULT, MALLOC, OPTIONS, Option, named
from worker_images.node.measure.start_sides import Bench
from worker_images.node.measure.starts import COLD, WARM
from worker_images.node.node import Node
from worker_images.node.place import Chroot, CommandResult, PlaceError


@pytest.fixture
def bench(gpu: Node, tmp_path: Path) -> Bench:
    """The sides of a fake node, which replies with the folders and the files of a python."""
    probes = tmp_path / "original"
    probes.mkdir()
    (probes / "start.py").touch()

    def reply(command: Sequence[str]) -> CommandResult:
        assert command[:2] == ["env", "-i"]
        found = ["/opt/lib", "/opt/lib/more", "/srv"] if "-c" in command else ["/opt/lib/torch.so"]
        return CommandResult(0, json.dumps(found), "")

    place = Chroot(tmp_path / "rootfs")
    found = start_sides.prepared(place, gpu, "/opt/python3", probes, tmp_path / "work")
    return dataclasses.replace(found, runs_on_node=reply)


def config(bench: Bench, name: str) -> dict[str, object]:
    """Read the specification of a side."""
    found: dict[str, object] = json.loads((bench.folder / name / "config.json").read_text())
    return found


def test_modules_are_folders_without_those_inside(bench: Bench) -> None:
    assert bench.modules() == ["/opt/lib", "/srv"]


def test_import_has_the_node_and_its_own_root_as_references(bench: Bench) -> None:
    found = start_sides.case(bench, "torch", WARM, ("malloc", "mounts"))
    assert list(found.sides) == ["node", "node, in root", "sandbox", "malloc", "mounts"]
    assert found.needed == ("node", "sandbox")
    assert found.files == (Path("/opt/lib/torch.so"),)
    specification = config(bench, "mounts-python3-start.py-torch")
    assert '"destination": "/opt/lib"' in json.dumps(specification)
    assert '"/srv"' not in json.dumps(config(bench, "sandbox-python3-start.py-torch"))
    malloc = json.dumps(config(bench, "malloc-python3-start.py-torch"))
    assert "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.top_pad=67108864:" in malloc


def test_only_the_option_read_only_makes_the_root_read_only(bench: Bench) -> None:
    start_sides.case(bench, "torch", WARM, ("read-only", "malloc"))
    for name, read_only in (("read-only", True), ("malloc", False)):
        found = config(bench, f"{name}-python3-start.py-torch")
        assert found["root"] == {"path": str(bench.place.clean_root), "readonly": read_only}


def test_files_are_read_that_the_import_opened(bench: Bench) -> None:
    found = start_sides.case(bench, "read", COLD, ())
    assert list(found.sides) == ["node", "sandbox"]
    assert json.loads((bench.probes / start_sides.FILES).read_text()) == ["/opt/lib/torch.so"]
    process = config(bench, "sandbox-python3-start.py-read-files.json")["process"]
    assert '"read", "files.json"]' in json.dumps(process)


def test_true_starts_only_in_a_sandbox(bench: Bench) -> None:
    assert list(start_sides.case(bench, "true", WARM, ()).sides) == ["sandbox"]


def test_own_files_of_the_probe_are_not_those_of_the_program(bench: Bench) -> None:
    files = json.dumps([str(bench.probes / "start.py"), "/opt/lib/torch.so"])
    other = dataclasses.replace(bench, runs_on_node=lambda _: CommandResult(0, files, ""))
    assert start_sides.opened(other, "torch") == (Path("/opt/lib/torch.so"),)


def test_program_that_fails_on_the_node_is_an_error(bench: Bench) -> None:
    failed = CommandResult(1, "", "ModuleNotFoundError: No module named 'torch'")
    without = dataclasses.replace(bench, runs_on_node=lambda _: failed)
    with pytest.raises(PlaceError, match="the program failed: ModuleNotFoundError"):
        start_sides.case(without, "torch", WARM, ())


def test_singles_are_measured_with_one_program() -> None:
    options = {
        (program, cache): start_sides.options_of(program, cache)
        for program in start_sides.PROGRAMS
        for cache in (WARM, COLD)
    }
    assert options["torch", WARM] == (*start_sides.SINGLE, "all")
    assert options["torch", COLD] == options["transformers", WARM] == ("all",)
    assert options["cuda", WARM] == ("exclusive", "all")
    assert options["true", WARM] == options["read", COLD] == ()
    assert {name for names in options.values() for name in names} <= OPTIONS.keys()


def test_settings_are_restored_also_after_a_failure(tmp_path: Path) -> None:
    first, second = tmp_path / "shmem_enabled", tmp_path / "missing" / "defrag"
    first.write_text("always within_size advise [never] deny force\n")
    option = Option("huge-pages", settings={first: "advise", second: "defer"})
    with (
        pytest.raises(PlaceError, match="defrag: No such file or directory; run on the node"),
        option.applied(),
    ):
        pass
    assert first.read_text() == "never"
    with dataclasses.replace(option, settings={first: "advise"}).applied():
        assert first.read_text() == "advise"
    assert first.read_text() == "never"


@pytest.fixture
def processors(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """Eight processors of this process; each change is added."""
    found = [{*range(8)}]
    monkeypatch.setattr("os.sched_getaffinity", lambda _: found[-1])
    monkeypatch.setattr("os.sched_setaffinity", lambda _, chosen: found.append({*chosen}))
    return found


def test_sandbox_starts_with_the_changes_of_its_option(
    bench: Bench, processors: list[set[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / "shmem_enabled"
    setting.write_text("always [never]\n")
    changed = Option("both", settings={setting: "advise"}, processors=4)
    seen = []

    def fake(*_: object, **__: object) -> CommandResult:
        seen.append((setting.read_text(), processors[-1]))
        raise PlaceError("the sandbox does not start")

    monkeypatch.setattr(start_sides, "run_sandbox", fake)
    with pytest.raises(PlaceError, match="does not start"):
        bench.sandbox(changed)()
    assert seen == [("advise", {0, 1, 2, 3})]
    assert (setting.read_text(), processors[-1]) == ("never", {*range(8)})


def test_machine_with_few_processors_cannot_have_fewer(
    processors: list[set[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    processors.append({0, 1, 2, 3})
    with pytest.raises(SystemExit):
        main(["starts", "--image", "image.tar", "--option", "all+processors"], ROOT)
    assert "all+processors needs more than 4 processors on this machine" in capsys.readouterr().err


def test_options_are_joined(processors: list[set[int]], capsys: pytest.CaptureFixture[str]) -> None:
    found = named("all+processors+exclusive")
    assert found.flags == ("--dcache=8000", "--file-access-mounts=exclusive")
    assert (found.processors, found.read_only, found.settings) == (4, True, SETTINGS)
    assert found.environment == MALLOC
    assert found.name == "all+processors+exclusive"
    assert processors == [{*range(8)}]
    with pytest.raises(SystemExit):
        main(["starts", "--image", "image.tar", "--option", "all+fast"], ROOT)
    assert "no option 'fast'; known options: malloc, huge-pages" in capsys.readouterr().err


@pytest.mark.parametrize(("setting", "word"), [
    ("always [madvise] never\n", "madvise"),
    ("never\n", "never"),
])  # fmt: skip
def test_setting_is_the_word_in_brackets(setting: str, word: str) -> None:
    assert chosen(setting) == word


def test_launcher_page_lists_every_option() -> None:
    text = (ROOT / "docs/launcher.md").read_text()
    assert [name for name in OPTIONS if f"`{name}`" not in text] == []
    for flag in {flag for option in OPTIONS.values() for flag in option.flags}:
        assert f"`{flag}`" in text


def test_default_changes_nothing() -> None:
    assert Option("sandbox") == DEFAULT
