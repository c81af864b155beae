"""The commands of docs/launcher.md and other pages, which the tests run as they are on the page."""

import re

from worker_images.files import ROOT


def commands(heading: str, name: str = "launcher.md") -> list[str]:
    """Return the blocks of commands below a heading of a page in docs/."""
    page = ROOT / "docs" / name
    section = re.search(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", page.read_text(), re.DOTALL | re.MULTILINE
    )
    assert section, f"{page} has no section {heading}"
    return re.findall(r"^```sh\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE)
