"""The command line of build.py: exit codes, messages, and no tracebacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import commands
from worker_images.build import image_names
from worker_images.cli import main
from worker_images.files import ROOT


def run(
    *arguments: str, cwd: Path = ROOT, python: str = sys.executable, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run build.py of a checkout as a process."""
    return commands.run(
        [python, str(cwd / "build.py"), *arguments], cwd=cwd, env={**os.environ, **environment}
    )


WRONG = {
    "no variant": ([], "are required: --variant; variants: full, slim, all"),
    "misspelled variant": (["--varint", "slim"], "unrecognized arguments: --varint slim"),
    "misspelled command": (["biuld"], "unrecognized arguments: biuld"),
    "unknown variant": (["--variant", "smal"], "no such variant; known variants: full, slim"),
    "unknown option": (["--variant", "slim", "--sply", "x"], "--sply"),
    "unknown source": (["--variant", "slim", "--source", "magic"], "choose from"),
    "unknown print": (["--variant", "slim", "--print", "x"], "dockerfile"),
    "no such pins": (
        ["--variant", "slim", "--versions", "none.yaml"],
        "none.yaml:1:1: (file): cannot be read",
    ),
    "malformed tag": (["--variant", "slim", "--tag", "Not A Name"], "not an image name"),
    "unknown command": (["engine", "restart"], "start"),
    "unknown layer": (["test", "smal"], "no such test layer"),
}


NAMES = {
    "worker": True,
    "team/worker:1.2": True,
    "registry.example:5000/team/worker": True,
    "localhost/worker:1": True,
    "Registry.Example/worker": True,
    "a__b/c--d:1": True,
    "a..b:1": False,
    "a_.b:1": False,
    "Team/worker:1": False,
    "worker:": False,
    "worker@sha256:" + "0" * 64: False,
    "0" * 64: False,
    "a" * 256: False,
}


@pytest.mark.parametrize("name", NAMES)
def test_tag_is_checked_before_the_build(name: str) -> None:
    """A name that an engine would refuse is a usage error."""
    assert image_names.is_name(name) == NAMES[name]


def result_of(arguments: list[str]) -> int:
    """Return the exit code of a command that runs in this process."""
    try:
        return main.main(arguments, ROOT)
    except SystemExit as ended:
        return int(ended.code or 0)


@pytest.mark.parametrize("name", WRONG)
def test_usage_is_exit_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, message = WRONG[name]
    assert result_of(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""


def test_usage_of_the_program_is_exit_2_without_a_traceback() -> None:
    result = run("--varint", "slim")
    assert (result.returncode, result.stdout) == (2, "")
    assert "unrecognized arguments: --varint slim" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_shows_examples_and_exit_codes() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert "./build.py --variant slim" in result.stdout
    assert "exit codes: 0 ok, 2 usage" in result.stdout


def test_print_plan_is_json() -> None:
    result = run("--variant", "slim", "--print", "plan")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["source"] == "packages"


def test_print_dockerfile_shows_the_committed_file() -> None:
    assert (
        run("--variant", "slim", "--print", "dockerfile").stdout
        == (ROOT / "images/slim/Dockerfile.worker").read_text()
    )


def test_missing_environment_is_exit_2_with_the_command_to_run(checkout: Path) -> None:
    result = run("--variant", "slim", cwd=checkout, python="/usr/bin/python3")
    assert result.returncode == 2
    assert result.stderr.endswith("run: make setup\n")


def test_entry_point_imports_only_the_standard_library(checkout: Path) -> None:
    """build.py starts on a machine without any packages."""
    program = "import sys; sys.path.insert(0, '.'); import build; print(build.PYTHON)"
    result = commands.run(["/usr/bin/python3", "-S", "-c", program], cwd=checkout)
    assert result.returncode == 0, result.stderr


def test_malicious_pins_file_is_a_one_line_error(checkout: Path) -> None:
    (checkout / "malicious.yaml").write_text("a: " + "[" * 60_000)
    result = run("--variant", "slim", "--versions", str(checkout / "malicious.yaml"))
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "malicious.yaml:1:" in result.stderr


def test_dead_engine_is_exit_4(tmp_path: Path) -> None:
    result = run("--variant", "slim", "--tag", "x:y", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert result.returncode == 4
    assert "none.sock: no such file or directory; start that engine" in result.stderr


def test_build_without_root_or_engine_is_exit_4_before_any_work(tmp_path: Path) -> None:
    """The message names sudo, and no file is written."""
    program = (
        "import os, sys; from pathlib import Path; os.geteuid = lambda: 65534; sys.path.insert(0,"
        f" {str(ROOT)!r})\n"
    )
    program += (
        "from worker_images.engine import endpoint; endpoint.MACHINE_SOCKET ="
        f" Path({str(tmp_path)!r}, 'none')\n"
    )
    program += f"from worker_images.cli.main import main; root = Path({str(ROOT)!r})\n"
    program += "raise SystemExit(main(['--variant', 'slim', '--tag', 'x:y'], root))"
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"} | {
        "XDG_CACHE_HOME": str(tmp_path)
    }
    result = commands.run([sys.executable, "-c", program], env=environment)
    assert result.returncode == 4, result.stderr
    assert "run the same command with sudo" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_outdated_lock_is_exit_2(tmp_path: Path) -> None:
    text = (ROOT / "versions.yaml").read_text()
    (tmp_path / "v.yaml").write_text(
        text.replace("v0.0.0-20260701204157-69c2d17aea96", "v0.0.0-20260518063529-209a0ce076a1")
    )
    (tmp_path / "v.lock").write_text((ROOT / "versions.lock").read_text())
    result = run("--variant", "slim", "--versions", str(tmp_path / "v.yaml"))
    assert result.returncode == 2
    assert (
        "v.lock: modules.gvisor: not in the lock: v0.0.0-20260518063529-209a0ce076a1"
        in result.stderr
    )
    assert "run: make lock" in result.stderr


def test_broken_environment_is_exit_2(checkout: Path) -> None:
    """A .venv whose python is not in an environment must not restart build.py forever."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to("/usr/bin/python3")
    result = subprocess.run(
        ["/usr/bin/python3", str(checkout / "build.py")],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert result.returncode == 2
    assert "is broken; remove it and run: make setup" in result.stderr


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for command in main.COMMANDS:
        with pytest.raises(SystemExit) as ended:
            main.main([command, "--help"], ROOT)
        assert ended.value.code == 0
        assert f"usage: build.py {command} " in capsys.readouterr().out


def test_variant_all_refuses_a_tag(capsys: pytest.CaptureFixture[str]) -> None:
    assert result_of(["--variant", "all", "--tag", "team/worker:1"]) == 2
    assert "--tag and --push take one image" in capsys.readouterr().err
