"""The command `build.py manifests`: results, faults and usage errors."""

import io
from pathlib import Path

import pytest

from worker_images.cli import main
from worker_images.files import ROOT

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: workers
"""


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Return the exit code and both streams of the command."""
    code = main.main(["manifests", *argv], ROOT)
    output = capsys.readouterr()
    return code, output.out, output.err


def test_valid_manifests_are_counted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(NAMESPACE))
    assert run(capsys, "-") == (0, "1 object is valid\n", "")
    runtime_class = str(ROOT / "deploy/base/runtime-class.yaml")
    namespace = str(ROOT / "deploy/base/namespace.yaml")
    assert run(capsys, runtime_class, namespace) == (0, "2 objects are valid\n", "")


def test_every_fault_has_its_place_and_the_next_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "namespace.yaml"
    path.write_text(NAMESPACE + "  lables: {}\nspecs: {}\n")
    code, out, err = run(capsys, str(path))
    assert (code, out) == (2, "")
    lines = err.replace(str(path), "FILE").splitlines()
    assert len(lines) == 2
    assert "FILE:1:1: Namespace/workers (file): " in err.replace(str(path), "FILE")
    assert "FILE:3:1: Namespace/workers metadata: " in err.replace(str(path), "FILE")
    assert all(line.endswith("does not allow it; correct the field") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "manifests: FILE: No such file or directory; name a file with manifests"),
        (b"\xff", "manifests: FILE: not text; name a file with manifests, or - for standard"),
        (b"", "manifests: FILE: no object; name a file with manifests"),
        (b"a: [b", "(file): not valid YAML; did not find expected"),
        (b"a: b\n", "FILE:1:1: / apiVersion:  ; Kubernetes 1.35 has no such kind; correct it"),
    ],
)
def test_file_without_manifests_is_exit_2(
    text: bytes | None, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "worker.yaml"
    if text is not None:
        path.write_bytes(text)
    code, out, err = run(capsys, str(path))
    assert (code, out) == (2, "")
    assert message in err.replace(str(path), "FILE")
