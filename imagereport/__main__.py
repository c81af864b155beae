"""The judge's commands beside pytest: python -m imagereport."""

import argparse
import sys
from pathlib import Path

from imagebuild.errors import EngineError, ImageBuildError, JudgeError
from imagebuild.places import write_whole
from imagereport import report
from imagetest.image import ImageError


def main(argv: list[str], root: Path) -> int:
    """Print the table, write what else is asked for, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m imagereport", description="What the checks came to: the table variant by layer.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that is known as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one page that needs nothing beside it")
    arguments = parser.parse_args(argv)
    try:
        found = report.read(root)
        for path, write in ((arguments.json, report.as_json), (arguments.html, report.page)):
            if path:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, write(found))
    except (ImageBuildError, ImageError) as error:
        print(f"report: {error}", file=sys.stderr)
        return getattr(error, "exit_code", JudgeError.exit_code)
    except OSError as error:
        print(f"report: {error.filename}: {error.strerror}; correct that and run again", file=sys.stderr)
        return EngineError.exit_code
    print(report.text(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], Path(__file__).resolve().parent.parent))
