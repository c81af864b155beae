"""Which settings of the machine let runsc use huge pages?"""

import pytest

from worker_images.node import huge_pages


@pytest.mark.parametrize(
    ("shared", "compaction", "used"),
    [
        ("never", "defer", False),
        ("deny", "defer", False),
        ("advise", "defer", True),
        ("advise", "never", True),
        ("advise", "always", True),
        ("advise", "madvise", False),
        ("advise", "defer+madvise", False),
        ("always", "madvise", True),
        ("within_size", "madvise", True),
        ("force", "madvise", True),
    ],
)
def test_runsc_uses_huge_pages_as_its_source_says(shared: str, compaction: str, used: bool) -> None:
    settings = {huge_pages.SHARED: shared, huge_pages.COMPACTION: compaction}
    assert huge_pages.are_used(settings) is used


def test_kernel_without_huge_pages_is_unknown() -> None:
    assert huge_pages.text({}) == "unknown"
    assert huge_pages.are_used({}) is False
