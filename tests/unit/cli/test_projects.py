"""The option --project, and the commands that messages name for a project."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import commands, projects
from worker_images.cli import main
from worker_images.cli.projects import split, with_option
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.model.lock import Lock

PLAN = ["--variant", "slim", "--print", "plan"]
UPSTREAM = 'source: "upstream"\n'


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A project with one pin of its own, and the lock of the checkout."""
    return projects.write_pins(tmp_path / "own", UPSTREAM)


def build(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run build.py of a checkout."""
    program = (
        "import sys; from pathlib import Path; from worker_images.cli.main import main;"
        " sys.exit(main(sys.argv[1:], Path.cwd()))"
    )
    return commands.run([sys.executable, "-c", program, *arguments], cwd=checkout)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["lock"], ((), ["lock"])),
        (["--project", "a", "lock"], (("a",), ["lock"])),
        (["lock", "--project=a", "--check"], (("a",), ["lock", "--check"])),
        (["lock", "--project"], (("",), ["lock"])),
        (["x", "--", "--project", "a"], ((), ["x", "--", "--project", "a"])),
        (["--tag=a=b", "--project", "--check"], (("--check",), ["--tag=a=b"])),
    ],
)
def test_option_is_accepted_before_and_after_the_command(
    argv: list[str], expected: tuple[tuple[str, ...], list[str]]
) -> None:
    assert split(argv) == expected


@pytest.mark.parametrize("place", ["before", "after"])
def test_plan_is_that_of_the_project(
    place: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = ["--project", str(own)]
    assert main.main([*option, *PLAN] if place == "before" else [*PLAN, *option], ROOT) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "upstream"


def test_plan_without_the_option_is_that_of_the_checkout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The control of the test above."""
    assert main.main(PLAN, ROOT) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "packages"


WRONG = {
    "no folder": (["lock", "--project"], "--project: name the folder of one project"),
    "two folders": (["--project", "a", "lock", "--project=b"], "name the folder of one project"),
    "no pins": (["lock", "--project", "/proc"], "--project /proc: no versions.yaml there;"),
    "shortened": (["lock", "--proj", "a"], "write --project in full"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_option_is_exit_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv, message = WRONG[name]
    try:
        code = main.main(argv, ROOT)
    except SystemExit as ended:
        code = int(ended.code or 0)
    assert code == 2
    assert message in capsys.readouterr().err


def test_other_checkout_is_refused_as_a_project(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["render", "--project", str(checkout)], ROOT) == 2
    assert f"run there: {checkout}/build.py" in capsys.readouterr().err


def test_render_writes_below_the_project_and_not_below_the_checkout(
    own: Path, checkout: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in checkout.rglob("*.yaml")}
    rendered = build(checkout, "render", "--project", str(own))
    assert rendered.returncode == 0, rendered.stderr
    written = {str(path.relative_to(own)) for path in own.rglob("*") if path.is_file()}
    files = {
        f"images/{name}/Dockerfile.{source}"
        for name in ("full", "slim")
        for source in ("upstream", "worker")
    }
    assert written == files | {"versions.yaml", "versions.lock"}
    assert {path: path.stat().st_mtime_ns for path in checkout.rglob("*.yaml")} == before
    assert build(checkout, "render", "--check", "--project", str(own)).returncode == 0
    (own / "images/slim/Dockerfile.worker").write_text("")
    changed = build(checkout, "render", "--check", "--project", str(own))
    assert changed.returncode == 2
    assert f"run: ./build.py --project {own} render" in changed.stderr


def test_next_version_of_the_checkout_is_a_difference_that_the_lock_names(
    own: Path, checkout: Path
) -> None:
    """A project that was locked against an older checkout still loads."""
    path = checkout / "versions.yaml"
    text = path.read_text()
    for old, new in (("1.5.2", "1.5.3"), ("v1.5.2", "v1.5.3")):
        assert f'version: "{old}"' in text
        text = text.replace(f'version: "{old}"', f'version: "{new}"')
    path.write_text(text)
    compat = build(checkout, "compat", "--driver", "580.159.04", "--project", str(own))
    assert compat.returncode == 0, compat.stderr
    stale = build(checkout, *PLAN, "--project", str(own))
    assert stale.returncode == 2
    fix = f"run: ./build.py --project {own} lock"
    assert (
        f"{own}/versions.lock: modules.runc: not in the lock: v1.5.3; no longer needed: v1.5.2;"
        f" {fix}" in stale.stderr
    )


def test_lock_of_a_project_names_its_own_components(own: Path) -> None:
    projects.write(own)
    loaded = project.load(own)
    assert loaded.catalog.components["jq"]
    assert "jq" not in Lock.read(own / "versions.lock").modules
    code = main.main([*PLAN[:1], "tools", *PLAN[2:], "--project", str(own)], ROOT)
    assert code == 2


TEXTS = {
    "x; run: make lock": "x; run: ./build.py --project ../w lock",
    "run make lock, then make accept": (
        "run ./build.py --project ../w lock, then ./build.py --project ../w accept"
    ),
    "run: make beta9": "run: ./build.py --project ../w --variant beta9",
    "run: make setup": "run: make setup",
    "run: make test-image": "run: ./build.py --project ../w test image",
    "run: ./build.py engine start": "run: ./build.py engine start",
    "./build.py --variant slim": "./build.py --project ../w --variant slim",
    "files make up a layer": "files make up a layer",
}


@pytest.mark.parametrize("text", TEXTS)
def test_message_names_the_command_for_the_project(text: str) -> None:
    assert with_option(text, "../w") == TEXTS[text]


def test_printed_dockerfile_is_the_rendered_one(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names a command, which stays as it is."""
    command = ["--project", str(own), "--variant", "slim", "--source", "packages"]
    assert main.main([*command, "--print", "dockerfile"], ROOT) == 0
    printed = capsys.readouterr().out
    assert printed == (ROOT / "images/slim/Dockerfile.worker").read_text()
    assert "`./build.py render`" in printed


def test_folder_in_a_command_is_quoted() -> None:
    found = with_option("run: make lock", "my workers")
    assert found == "run: ./build.py --project 'my workers' lock"


def test_test_layer_of_the_checkout_is_refused(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["test", "unit", "image", "--project", str(own)], ROOT) == 2
    assert "unit: these test layers test the checkout" in capsys.readouterr().err


def test_report_of_a_project_has_its_variants_and_layers(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    projects.write(own)
    assert main.main(["report", "--project", str(own)], ROOT) == 0
    shown = capsys.readouterr().out
    assert "tools" in shown
    assert not any(word in shown for word in ("slim", "mutation", "unit"))
