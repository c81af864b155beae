"""The commands of docs/launcher.md, which the tests run as they are on the page."""

import re

from worker_images.files import ROOT

PAGE = ROOT / "docs" / "launcher.md"


def commands(heading: str) -> list[str]:
    """Return the blocks of commands below a heading."""
    section = re.search(
        rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
    assert section, f"{PAGE} has no section {heading}"
    return re.findall(r"^```sh\n(.*?)^```", section[1], re.DOTALL | re.MULTILINE)
