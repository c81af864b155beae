"""Documents that show output of commands: each block that begins with `$ ` is what it prints."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from worker_images.model.drivers import chart
from worker_images.model.drivers.compat import Pinned
from worker_images.model.project import Project

PAGE = "docs/drivers.md"
CHART = "docs/drivers.svg"
BLOCK = re.compile(r"```\n\$ (.*)\n(?:(?!```).*\n)*```")


def files(project: Project) -> Mapping[Path, str]:
    """Each document, with the text that it must have."""
    fleet = project.pins.fleet
    allowed = {each.driver: each.reason for each in fleet.allow_unserved}
    pinned = Pinned(project.release, fleet.drivers, allowed)
    page = project.root / PAGE
    return {
        page: shown(page.read_text(), project.root),
        project.root / CHART: chart.svg(project.table, pinned),
    }


def shown(text: str, root: Path) -> str:
    """A page's text with the current output of each command that it shows."""

    def run(block: re.Match[str]) -> str:
        command = ["sh", "-c", block[1]]
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        return f"```\n$ {block[1]}\n{result.stdout}{result.stderr}```"

    return BLOCK.sub(run, text)
