"""Which gVisor releases need helper programs."""

import pytest

from worker_images.node.binary import needs_sidecars

VERSIONS = (
    ("release-20260714.0", False),
    ("release-20260721.0", True),
    ("release-20260817.0", True),
    ("release-20260817.0-46-g879cb2dc2", False),
    ("VERSION_MISSING", False),
    ("0.0~20240729.0", False),
)


@pytest.mark.parametrize(("version", "due"), VERSIONS)
def test_which_releases_have_helpers(version: str, due: bool) -> None:
    assert needs_sidecars(f"runsc version {version}\nspec: 1.2.1\n") is due
