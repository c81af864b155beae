"""The command `build.py report`: test results as a table, JSON and an HTML page."""

from pathlib import Path

from worker_images.build.tars import Progress
from worker_images.cli import parsers
from worker_images.errors import FailedTestsError
from worker_images.files import write_atomic
from worker_images.model import project
from worker_images.model.oci.image import ImageError
from worker_images.report import report


def command(argv: list[str], root: Path, _: Progress) -> str:
    """Return the table; write the JSON and HTML files that the options name."""
    parser = parsers.of_command("report", "Show the test results of each variant and layer.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results as JSON")
    parser.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write all results as one self-contained HTML page",
    )
    arguments = parser.parse_args(argv)
    try:
        found = report.read(project.read(root))
    except ImageError as error:
        raise FailedTestsError(str(error)) from error
    for path, write in ((arguments.json, report.as_json), (arguments.html, report.page)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, write(found))
    return report.text(found)
