"""The command `build.py changes`."""

from collections.abc import Iterator
from pathlib import Path

from worker_images.build import branch
from worker_images.build.branch import Changes, Size
from worker_images.build.tars import Progress
from worker_images.cli import parsers
from worker_images.model import project

EXAMPLES = """\
examples:
  ./build.py changes --base origin/main     as Markdown: Dockerfiles and sizes, against a branch

exit codes: 0 ok, 2 usage or no such revision
"""


def command(argv: list[str], root: Path, _: Progress) -> str:
    """Return what the checkout changes of a revision's images, as Markdown."""
    parser = parsers.of_command(
        "changes",
        "Compare the committed Dockerfiles and layer sizes with those of a git revision.",
        EXAMPLES,
    )
    parser.add_argument("--base", required=True, metavar="REVISION", help="the git revision")
    arguments = parser.parse_args(argv)
    return "\n".join(_lines(branch.compare(project.read(root), arguments.base)))


def _lines(found: Changes) -> Iterator[str]:
    yield f"## Dockerfiles against {found.base}\n"
    if found.dockerfiles:
        # Longer than any run of backticks in a Dockerfile.
        yield from ("`````diff", *found.dockerfiles, "`````")
    else:
        yield "No Dockerfile changes."
    for variant, sizes in found.sizes.items():
        yield f"\n## Size of {variant}, unpacked, by images/ledger.json\n"
        yield "| layer | architecture | before | now | difference |"
        yield "| --- | --- | ---: | ---: | ---: |"
        yield from map(_row, sizes)


def _row(size: Size) -> str:
    texts = ["-" if each is None else f"{each / 1e6:.1f} MB" for each in (size.before, size.now)]
    difference = (size.now or 0) - (size.before or 0)
    change = f"{difference / 1e6:+.1f} MB" if difference else "0"
    return f"| {size.component} | {size.architecture} | {' | '.join(texts)} | {change} |"
