"""lint answers specifications of reports from the field, and of large launchers."""

import json
from pathlib import Path

import pytest

from tests.support import launchers
from worker_images.files import ROOT
from worker_images.node import node
from worker_images.node.cli import main

REPORTS = ROOT / "tests/unit/reports/launch"
Capture = pytest.CaptureFixture[str]

# Each report with its findings, and texts of the right answer.
ANSWERS: dict[str, tuple[list[str], list[str]]] = {
    "30-control": ([], ["12 rules passed"]),
    "31-gke-uvm-tools": (
        ["F7 note"],
        ["nvproxy does not serve /dev/nvidia-uvm-tools", "no error, 1 note"],
    ),
    "33-cdi-void": ([], []),
    "35-video-on-spec-path": (
        ["F6 note"],
        ["--nvproxy-allowed-driver-capabilities=compute,utility,video"],
    ),
    "36-index-is-not-minor": ([], []),
    "37-image-has-other-libcuda": (
        ["F4 error"],
        ["libcuda.so.1 is /usr/local/cuda-12.4/compat/libcuda.so.550.54.15"],
    ),
    "39-rhcos-libs-in-debian-image": (
        ["F5 error", "F5 error"],
        [
            f"a mount hides /{launchers.LOADER}",
            "/usr/lib64 is not in LD_LIBRARY_PATH",
            f"searches only /lib/{launchers.MULTIARCH}, ",
        ],
    ),
    "40-persistenced-socket": (["F12 error"], ["/run/nvidia-persistenced/socket is a socket"]),
    "42-cdi-no-numbers": (
        ["F7 error", "F7 error", "F7 error"],
        ["/dev/nvidia-uvm has the type '', which runsc refuses"],
    ),
}


@pytest.fixture
def lint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle with a Debian image that has a libcuda of its own, on a node with five GPUs."""
    here = launchers.node(tmp_path / "node")
    monkeypatch.setattr(node, "read", lambda: here)
    root = launchers.debian(tmp_path / "bundle/rootfs")
    launchers.libcuda(root / "usr/local/cuda-12.4/compat", "550.54.15")
    # An absolute link of the image, as nvidia/cuda has it.
    (root / "usr/local/cuda").symlink_to("/usr/local/cuda-12.4")
    return tmp_path


def linted(folder: Path, text: str, capsys: Capture, *options: str) -> tuple[int, str, list[str]]:
    """Return the exit code, the text, and rule and severity of each finding."""
    bundle = folder / "bundle"
    found = launchers.specification(text, folder / "node", bundle)
    (bundle / "config.json").write_text(json.dumps(found))
    code = main(["lint", str(bundle), *options], ROOT)
    output = capsys.readouterr().out
    main(["lint", "--json", str(bundle), *options], ROOT)
    findings = json.loads(capsys.readouterr().out)
    return code, output, [f"{each['rule']} {each['severity']}" for each in findings]


@pytest.mark.parametrize("name", ANSWERS)
def test_report_has_its_right_answer(name: str, lint: Path, capsys: Capture) -> None:
    expected, texts = ANSWERS[name]
    text = (REPORTS / f"{name}.config.json").read_text()
    code, output, findings = linted(lint, text, capsys)
    assert findings == expected, output
    assert [each for each in texts if each not in output] == [], output
    assert code == (5 if any(each.endswith("error") for each in expected) else 0)


def test_every_specification_of_a_report_has_an_answer() -> None:
    names = {path.name.removesuffix(".config.json") for path in REPORTS.glob("*.config.json")}
    assert names == ANSWERS.keys()


def test_strict_fails_for_a_warning(lint: Path, capsys: Capture) -> None:
    text = (REPORTS / "30-control.config.json").read_text()
    warned = text.replace(
        '"mounts": [',
        '"mounts": [{"destination": "/x", "source": "/dev", "options": ["rbind"]}, ',
    )
    code, output, findings = linted(lint, warned, capsys)
    assert (code, findings) == (0, ["F13 warning"])
    assert output.splitlines()[-1].endswith("no error, 1 warning")
    code, output, findings = linted(lint, warned, capsys, "--strict")
    assert (code, findings) == (5, ["F13 warning"])
    assert "no error" not in output


def test_strict_passes_with_a_note(lint: Path, capsys: Capture) -> None:
    text = (REPORTS / "31-gke-uvm-tools.config.json").read_text()
    assert linted(lint, text, capsys, "--strict")[0] == 0


def test_findings_as_data_have_a_severity(lint: Path, capsys: Capture) -> None:
    linted(lint, (REPORTS / "42-cdi-no-numbers.config.json").read_text(), capsys)
    assert main(["lint", "--json", f"{lint}/bundle/config.json"], ROOT) == 5
    first, *_ = json.loads(capsys.readouterr().out)
    assert [*first] == ["rule", "severity", "where", "problem", "step"]


def test_libcuda_of_a_relative_root_is_found(lint: Path, capsys: Capture) -> None:
    """The reverse of report 37: the folder of the driver is a link of the image."""
    (lint / "bundle/rootfs/opt").mkdir()
    (lint / "bundle/rootfs/opt/driver").symlink_to("/usr/local/nvidia/lib64")
    text = (REPORTS / "37-image-has-other-libcuda.config.json").read_text()
    linked = text.replace("/usr/local/cuda/compat", "/opt/driver")
    assert linted(lint, linked, capsys)[::2] == (0, [])
