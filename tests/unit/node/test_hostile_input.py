"""Broken or hostile files and arguments are reported in one sentence; nothing is written."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given

from tests.support.hostile import bounded, changed
from tests.support.timing import LINEAR, growth
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.node.bundle import bundle
from worker_images.node.cli import main
from worker_images.node.lint import lint
from worker_images.node.lint.request import LaunchRequest
from worker_images.node.node import Node
from worker_images.node.spec import Container
from worker_images.node.stand_in import DRIVER

ESCAPE, ESCAPED = "\x1b[2J", r"\u001b[2J"
Capture = pytest.CaptureFixture[str]

NOT_A_SPECIFICATION = (
    ('{"a":' + "[" * 100_000, "nested deeper than 64 levels"),
    ('{"process": {"env": ["A=\\ud800"]}}', "an unpaired surrogate"),
    ('{"linux": {}, "linux": {}}', "duplicate key linux"),
    ('{"linux": {"devices": [], "Devices": []}}', "keys devices and Devices differ only in case"),
    ('{"Linux": {}}', "key Linux must be spelled linux"),
    ('{"linux": NaN}', "NaN is not a number"),
    ("[]", "not an object"),
    ("{", "not JSON"),
    ('{"linux": []}', "linux: not an object"),
    ('{"linux": {"devices": {}}}', "linux.devices: not a list"),
    ('{"linux": {"devices": [{}]}}', "linux.devices[0]: no path"),
    ('{"linux": {"devices": [null]}}', "linux.devices[0]: not an object"),
    ('{"linux": {"devices": [{"path": "/dev/nvidia0", "major": true}]}}', "not an integer"),
    ('{"linux": {"devices": [{"path": "/dev/nvidia0", "minor": 1.5}]}}', "not an integer"),
    ('{"process": {"env": [1]}}', "process.env[0]: not a string"),
    ('{"process": {"env": ["%s"]}}' % ("a" * 140_000), "process.env[0]: longer than 131072 bytes"),
    ('{"root": {"path": 1}}', "root.path: not a string"),
    ('{"root": {"path": "/\\u0000"}}', "root.path: a string with a NUL byte"),
    ('{"mounts": [{"type": "bind"}]}', "mounts[0]: no destination"),
    ('{"mounts": [{"destination": "/%s"}]}' % ("a" * 256), "longer than 255 bytes"),
    ('{"mounts": [{"destination": "%s"}]}' % ("/a" * 2049), "longer than 4096 bytes"),
    ('{"mounts": [{"destination": "/", "source": 1}]}', "mounts[0].source: not a string"),
    ('{"mounts": [{"destination": null}]}', "mounts[0]: no destination"),
    ('{"hooks": {"prestart": [{"path": []}]}}', "hooks.prestart[0].path: not a string"),
    ('{"hooks": {"\\u001b[2J": 1}}', f"hooks.{ESCAPED}: not a list"),
)


@pytest.mark.parametrize(("text", "message"), NOT_A_SPECIFICATION)
def test_lint_refuses_what_is_not_a_specification(
    text: str, message: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "config.json").write_text(text)
    assert main(["lint", str(tmp_path)], ROOT) == 2
    error = capsys.readouterr().err
    assert f"{tmp_path}/config.json: not an OCI specification: " in error
    assert message in error
    assert error.count("\n") == 1


def test_lint_reads_no_more_than_its_limit(capsys: Capture) -> None:
    assert main(["lint", "/dev/zero"], ROOT) == 2
    assert "more than 8388608 bytes of JSON" in capsys.readouterr().err


def test_lint_escapes_foreign_text(gpu: Node, tmp_path: Path, capsys: Capture) -> None:
    assert gpu.driver
    config = {"process": {"env": [f"NVIDIA_DRIVER_CAPABILITIES={ESCAPE}"]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["lint", str(tmp_path)], ROOT) == 5
    output = capsys.readouterr().out
    assert f"requests {ESCAPED}, which" in output
    assert ESCAPE not in output


def test_lint_of_a_changed_specification_has_a_documented_exit_code(
    gpu: Node, tmp_path: Path
) -> None:
    main([*arguments(tmp_path), "--", "true"], ROOT)
    config = tmp_path / "bundle/config.json"
    valid = json.loads(config.read_text())
    codes: Counter[int] = Counter()

    @bounded
    @given(changed(valid))
    def check(value: object) -> None:
        config.write_text(json.dumps(value))
        codes[main(["lint", str(config)], ROOT)] += 1

    check()
    assert gpu.driver
    assert {2} < codes.keys() <= {0, 2, 5}


def with_mounts(count: int) -> dict[str, object]:
    """A specification with as many mounts of libcuda, folders to search, and devices."""
    names = [f"/{number}/libcuda.so.{DRIVER}" for number in range(count)]
    return {
        "root": {"path": "/usr"},
        "mounts": [{"type": "bind", "source": "/bin/sh", "destination": name} for name in names],
        "process": {"env": ["LD_LIBRARY_PATH=" + ":".join(map(str, range(count)))]},
        "linux": {"devices": [{"path": "/dev/nvidia0"}] * count},
    }


def with_hooks(count: int) -> dict[str, object]:
    return {"hooks": {"prestart": [{"path": f"/{each}/nvidia-ctk"} for each in range(count)]}}


def with_devices(count: int) -> dict[str, object]:
    """A specification with as many devices of MIG, annotations and variables."""
    caps = [{"path": f"/dev/nvidia-caps/nvidia-cap{each}", "type": "c"} for each in range(count)]
    return {
        "process": {"env": [f"NVIDIA_VISIBLE_DEVICES={each}" for each in range(count)]},
        "annotations": {f"dev.gvisor.flag.{each}": "" for each in range(count)},
        "linux": {"devices": caps},
    }


@pytest.mark.parametrize("config", [with_mounts, with_hooks, with_devices])
def test_lint_of_many_mounts_and_hooks_takes_linear_time(
    config: Callable[[int], dict[str, object]], valid: LaunchRequest
) -> None:
    def check(count: int) -> None:
        assert lint.violations(LaunchRequest(config(count), valid.node))

    assert growth(check, 100, LINEAR) < LINEAR


@pytest.mark.parametrize(
    "mount", ["a:b", "/a:b", "a:/b", "/a:", "/a:/", "/a://", "/a:/../b", "/a:/b/.", "/a:/b:ro"]
)
def test_bundle_refuses_a_relative_mount(
    mount: str, gpu: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert gpu.driver
    with pytest.raises(SystemExit) as exit_:
        main([*arguments(tmp_path), "--mount", mount, "--", "true"], ROOT)
    assert exit_.value.code == 2
    assert "argument --mount: " in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def arguments(folder: Path) -> list[str]:
    return ["bundle", "--rootfs", "/usr", "--into", f"{folder}/bundle"]


def test_bundle_refuses_a_relative_host(gpu: Node, tmp_path: Path, capsys: Capture) -> None:
    assert gpu.driver
    with pytest.raises(SystemExit) as exit_:
        main([*arguments(tmp_path), "--host", "host", "--", "true"], ROOT)
    assert exit_.value.code == 2
    assert "'host' does not begin with /" in capsys.readouterr().err


PLACES = (
    *("", "config.json", "driver", "driver/lib64", "driver/bin"),
    f"driver/lib64/libcuda.so.{DRIVER}",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("target", ["file", "folder", "none"])
def test_bundle_does_not_write_through_a_link(
    place: str, target: str, gpu: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert gpu.driver
    victim = tmp_path / "victim"
    (victim / "folder").mkdir(parents=True)
    (victim / "file").write_text("kept")
    link = tmp_path / "bundle" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim / target)
    assert main([*arguments(tmp_path), "--", "true"], ROOT) == 2
    assert f"{link} exists and is not a " in capsys.readouterr().err
    assert sorted(path.name for path in victim.rglob("*")) == ["file", "folder"]
    assert (victim / "file").read_text() == "kept"


def test_bundle_refuses_files_in_the_place_of_folders(gpu: Node, tmp_path: Path) -> None:
    container = Container(Path("/run/rootfs"), ("true",), {})
    (tmp_path / "a/config.json").mkdir(parents=True)
    (tmp_path / "b").write_text("kept")
    for name in "ab":
        with pytest.raises(UsageError, match="remove it, or use another folder"):
            bundle.write(gpu, container, tmp_path / name)
    assert (tmp_path / "b").read_text() == "kept"
    assert not (tmp_path / "a/driver").exists()


def test_bundle_in_a_folder_that_cannot_be_written_is_one_sentence(
    gpu: Node, capsys: Capture
) -> None:
    assert gpu.driver
    assert main([*arguments(Path("/proc/none")), "--", "true"], ROOT) == 4
    assert capsys.readouterr().err.startswith("bundle: /proc/none")


def test_bundle_refuses_a_command_that_is_not_utf_8(
    gpu: Node, tmp_path: Path, capsys: Capture
) -> None:
    assert gpu.driver
    assert main([*arguments(tmp_path), "--", "true", "\udcff"], ROOT) == 2
    assert r'bundle: not UTF-8: "\udcff' in capsys.readouterr().err
    assert not (tmp_path / "bundle").exists()


def test_explain_escapes_foreign_text(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "log").write_text(f"{ESCAPE}libcuda.so.1: cannot open shared object file")
    assert main(["explain", f"{tmp_path}/log"], ROOT) == 0
    assert f"seen   {ESCAPED}libcuda" in capsys.readouterr().out


def test_explain_of_a_line_of_1_mb_ends(tmp_path: Path) -> None:
    """A search that is not linear takes minutes."""
    (tmp_path / "log").write_text("clone" * 200_000)
    program = [sys.executable, "-m", "worker_images.node", "explain", f"{tmp_path}/log"]
    assert subprocess.run(program, cwd=ROOT, timeout=20, check=False).returncode == 5
