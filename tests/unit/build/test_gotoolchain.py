"""The layout of the Go toolchain is an input of builds."""

from pathlib import Path

import pytest

from worker_images.build import gotoolchain


def test_what_lays_out_the_compiler_is_an_input(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = gotoolchain.key("h1:x")
    other = tmp_path / "compiler.py"
    other.write_text(Path(gotoolchain.__file__).read_text() + "\n")
    monkeypatch.setattr(gotoolchain, "__file__", str(other))
    assert gotoolchain.key("h1:x") != before
