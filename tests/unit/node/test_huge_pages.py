"""Which settings of the machine give runsc huge pages?"""

import pytest

from worker_images.node import huge_pages


@pytest.mark.parametrize(
    ("shared", "given"),
    [
        ("never", False),
        ("deny", False),
        ("advise", False),
        ("always", True),
        ("within_size", True),
        ("force", True),
    ],
)
def test_kernel_gives_huge_pages_without_advice(shared: str, given: bool) -> None:
    assert huge_pages.are_given({"shmem_enabled": shared}) is given


def test_recommended_setting_gives_huge_pages() -> None:
    settings = {path.name: value for path, value in huge_pages.SETTINGS.items()}
    assert huge_pages.are_given(settings)


def test_kernel_without_huge_pages_is_unknown() -> None:
    assert huge_pages.text({}) == "unknown"
    assert huge_pages.are_given({}) is False
