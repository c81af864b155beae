"""`build.py report`: what the tests came to, as a table, JSON and one page."""

import argparse
from pathlib import Path

from worker_images.build.tars import Progress
from worker_images.errors import FailedTestsError
from worker_images.files import write_atomic
from worker_images.model.oci.image import ImageError
from worker_images.report import report


def command(argv: list[str], root: Path, _: Progress) -> str:
    """The table; writes what else is asked for."""
    parser = argparse.ArgumentParser(
        prog="build.py report", description="What the checks came to: the table variant by layer."
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that is known as JSON")
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="write one page that needs nothing beside it"
    )
    arguments = parser.parse_args(argv)
    try:
        found = report.read(root)
    except ImageError as error:
        raise FailedTestsError(str(error)) from error
    for path, write in ((arguments.json, report.as_json), (arguments.html, report.page)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, write(found))
    return report.text(found)
