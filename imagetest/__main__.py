"""The judge's commands beside pytest: python -m imagetest report."""

import argparse
import sys
from pathlib import Path

from imagebuild.errors import EngineError, ImageBuildError, JudgeError
from imagetest import report
from imagetest.image import ImageError


def main(argv: list[str], root: Path) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m imagetest", description="What the judge found.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("report", help="the table variant by layer; on request JSON and one HTML page")
    command.add_argument("--json", type=Path, metavar="FILE", help="write all that is known as JSON")
    command.add_argument("--html", type=Path, metavar="FILE", help="write one page that needs nothing beside it")
    command.set_defaults(run=_report)
    arguments = parser.parse_args(argv)
    try:
        print(arguments.run(arguments, root))
    except (ImageBuildError, ImageError) as error:
        print(f"imagetest: {error}", file=sys.stderr)
        return getattr(error, "exit_code", JudgeError.exit_code)
    except OSError as error:
        print(f"imagetest: {error.filename}: {error.strerror}; mend that and run again", file=sys.stderr)
        return EngineError.exit_code
    return 0


def _report(arguments: argparse.Namespace, root: Path) -> str:
    found = report.read(root)
    for path, write in ((arguments.json, report.as_json), (arguments.html, report.page)):
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(write(found))
    return report.text(found)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], Path(__file__).resolve().parent.parent))
