"""The code that writes the Go toolchain's tar is an input of builds."""

from pathlib import Path

import pytest

from worker_images.build import gotoolchain


def test_key_changes_with_the_source_of_the_module(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = gotoolchain.key("h1:x")
    other = tmp_path / "gotoolchain.py"
    other.write_text(Path(gotoolchain.__file__).read_text() + "\n")
    monkeypatch.setattr(gotoolchain, "__file__", str(other))
    assert gotoolchain.key("h1:x") != before
