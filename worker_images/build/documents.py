"""Documents that show the output of commands, in blocks that begin with `$ COMMAND`, and data."""

import json
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
# The causes that the command explain knows, and the page with their table.
CAUSES = "worker_images/node/explain/causes.json"
CAUSES_PAGE = "docs/troubleshooting.md"
TABLE = re.compile(
    r"(<!-- begin of the causes, from [^\n]* -->\n).*?(<!-- end of the causes -->)", re.DOTALL
)
# Words for what a message takes from a line.
VALUES = {
    "{advice}": "what `./build.py compat --driver VERSION` answers for the driver",
    "{capability}": "NAME",
    "{xid}": "",
    "{0}{1}{2}{3}": "NAME",
    "{0}{1}": "NAME",
}
GROUP = re.compile(r"\{\d\}")
# The shell's exit codes for a command that cannot run.
NOT_RUN = (126, 127)
BLOCK = re.compile(r"```\n\$ (.*)\n(?:(?!```).*\n)*```")


def files(project: Project) -> Mapping[Path, str]:
    """Return the expected text of each document."""
    fleet = project.pins.fleet
    allowed = {each.driver: each.reason for each in fleet.allow_unserved}
    pinned = Pinned(project.release, fleet.drivers, allowed)
    page = project.root / PAGE
    causes = project.root / CAUSES_PAGE
    return {
        causes: with_causes(causes.read_text(), project.root),
        page: with_output(page.read_text(), project.root),
        project.root / CHART: chart.svg(project.table, pinned),
    }


def with_causes(text: str, root: Path) -> str:
    """Return a page with the current table of causes."""
    rows = json.loads((root / CAUSES).read_text(encoding="utf-8"))
    lines = ["| cause | means | next | source |", "| --- | --- | --- | --- |"]
    for row in rows:
        cells = (row["name"], _plain(row["message"]), _plain(row["step"]), row["source"])
        lines.append(f"| {' | '.join(cells)} |")
    table = "\n".join(lines)
    return TABLE.sub(lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text)


def _plain(text: str) -> str:
    """A message without the places of values, for a cell of a table."""
    for value, words in VALUES.items():
        text = text.replace(value, words)
    return GROUP.sub("…", text).replace("|", r"\|").replace("<", "&lt;")


def with_output(text: str, root: Path) -> str:
    """Return a page with the current output of each command that it shows."""

    def run(block: re.Match[str]) -> str:
        command = ["sh", "-c", block[1]]
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if result.returncode in NOT_RUN or "Traceback" in result.stderr:
            raise EngineError(f"{PAGE}: {block[1]}: {result.stderr.strip()}; correct the command")
        return f"```\n$ {block[1]}\n{result.stdout}{result.stderr}```"

    return BLOCK.sub(run, text)
