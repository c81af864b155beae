"""Releases of gVisor with separate helper programs are recognized."""

import pytest

from worker_images.node.lint.binary import needs_sidecars

VERSIONS = (
    ("release-20260714.0", False),
    ("release-20260721.0", True),
    ("release-20260817.0", True),
    ("release-20260817.0-46-g879cb2dc2", False),
    ("VERSION_MISSING", False),
    ("0.0~20240729.0", False),
)


@pytest.mark.parametrize(("version", "expected"), VERSIONS)
def test_helper_programs_are_required_since_20260721(version: str, expected: bool) -> None:
    assert needs_sidecars(f"runsc version {version}\nspec: 1.2.1\n") is expected
