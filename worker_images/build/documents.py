"""Documents that show the output of commands, in blocks that begin with `$ COMMAND`."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from worker_images.errors import EngineError
from worker_images.model.drivers import chart
from worker_images.model.drivers.compat import Pinned
from worker_images.model.project import Project

PAGE = "docs/drivers.md"
CHART = "docs/drivers.svg"
# The shell's exit codes for a command that cannot run.
NOT_RUN = (126, 127)
BLOCK = re.compile(r"```\n\$ (.*)\n(?:(?!```).*\n)*```")


def files(project: Project) -> Mapping[Path, str]:
    """Return the expected text of each document."""
    fleet = project.pins.fleet
    allowed = {each.driver: each.reason for each in fleet.allow_unserved}
    pinned = Pinned(project.release, fleet.drivers, allowed)
    page = project.root / PAGE
    return {
        page: with_output(page.read_text(), project.root),
        project.root / CHART: chart.svg(project.table, pinned),
    }


def with_output(text: str, root: Path) -> str:
    """Return a page with the current output of each command that it shows."""

    def run(block: re.Match[str]) -> str:
        command = ["sh", "-c", block[1]]
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if result.returncode in NOT_RUN or "Traceback" in result.stderr:
            raise EngineError(f"{PAGE}: {block[1]}: {result.stderr.strip()}; correct the command")
        return f"```\n$ {block[1]}\n{result.stdout}{result.stderr}```"

    return BLOCK.sub(run, text)
