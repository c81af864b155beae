"""Packages that no other package needs, and dependencies that no package meets."""

import pytest

from worker_images.harness import dpkg
from worker_images.harness.dpkg import Installed


@pytest.mark.parametrize(
    ("wanted", "unneeded"),
    [
        (["a"], {"d"}),
        (["a", "d"], set()),
        (["c"], {"a", "b", "d"}),
        ([], {"a", "b", "c", "d", "e"}),
    ],
)
def test_package_that_no_requested_one_needs_is_unneeded(
    wanted: list[str], unneeded: set[str]
) -> None:
    """a depends on b and on something that c provides; c depends on e."""
    packages = {
        "a": Installed("1", (("b",), ("virtual",)), ()),
        "b": Installed("1", (), ()),
        "c": Installed("1", (("e",),), ("virtual",)),
        "d": Installed("1", (), ()),
        "e": Installed("1", (), ()),
    }
    assert dpkg.unneeded(packages, wanted) == unneeded


@pytest.mark.parametrize(
    ("dependency", "unmet"),
    [
        (("b",), set()),
        (("virtual",), set()),
        (("gone", "b"), set()),
        (("gone",), {"gone"}),
        (("gone", "lost"), {"gone"}),
    ],
)
def test_dependency_that_no_package_meets_is_unmet(
    dependency: tuple[str, ...], unmet: set[str]
) -> None:
    packages = {
        "a": Installed("1", (("b",), dependency), ()),
        "b": Installed("1", (), ("virtual",)),
    }
    assert dpkg.unmet(packages) == unmet
