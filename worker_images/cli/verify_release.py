"""The commands `build.py verify-release` and `build.py rollback`."""

import json
from collections.abc import Callable
from pathlib import Path

from worker_images.build import plan
from worker_images.build.plan import ALL
from worker_images.cli import parsers
from worker_images.cli.release_options import (
    IDENTITY,
    READING_CODES,
    add_verifier,
    tools_of,
    verifier_of,
)
from worker_images.errors import PolicyError
from worker_images.model import project
from worker_images.release import names, registry, rollback, verify
from worker_images.release.record import check_version

Progress = Callable[[str], None]

VERIFY_EXAMPLES = f"""\
examples:
  ./build.py verify-release registry.example/team/worker:1.4.0-slim --key release.pub
  ./build.py verify-release registry.example/team/worker@sha256:... --key release.pub
  ./build.py verify-release oci:FOLDER:1.4.0-slim --key release.pub
  ./build.py verify-release REF {IDENTITY}
{READING_CODES}"""
ROLLBACK_EXAMPLES = f"""\
examples:
  ./build.py rollback --to 1.3.2 --registry registry.example/team/worker --key release.pub
  ./build.py rollback --to 1.4.0 --registry registry.example/team/worker \\
      {IDENTITY}
{READING_CODES}"""


def check(argv: list[str], root: Path, progress: Progress) -> str:
    """Check a release and return what was found.

    Raises PolicyError for one that does not verify; with --json it carries what was found.
    """
    parser = parsers.of_command(
        "verify-release",
        "Check a release against its bytes, signatures and reports.",
        VERIFY_EXAMPLES,
    )
    parser.add_argument(
        "reference", metavar="REF", help="REGISTRY/NAME:TAG, REGISTRY/NAME@DIGEST or oci:FOLDER:TAG"
    )
    add_verifier(parser)
    arguments = parser.parse_args(argv)
    name, reference = names.split(arguments.reference)
    programs = tools_of(project.read(root), progress)
    verifier = verifier_of(arguments, programs)
    place = registry.open_place(programs, name, arguments.ca_file)
    found = verify.inspect(
        place,
        reference,
        verifier,
        arguments.require,
        progress,
        allow_dirty=arguments.allow_dirty,
    )
    text = json.dumps(found.as_data(), indent=1) if arguments.json else found.text
    if found.faults:
        raise PolicyError(verify.refusal(found), text if arguments.json else "")
    return text


def roll_back(argv: list[str], root: Path, progress: Progress) -> str:
    """Move floating tags to an earlier release and return the moves."""
    parser = parsers.of_command(
        "rollback", "Let floating tags name an earlier release that verifies.", ROLLBACK_EXAMPLES
    )
    parser.add_argument("--to", required=True, metavar="VERSION", help="the released version")
    parser.add_argument("--registry", required=True, metavar="REGISTRY/NAME", help="the repository")
    parser.add_argument("--variant", default=ALL, help="the variant, or all; default: all")
    add_verifier(parser)
    arguments = parser.parse_args(argv)
    loaded = project.read(root)
    check_version(arguments.to, loaded.catalog.variants, "--to")
    names.check_name(arguments.registry, "--registry")
    every = arguments.variant == ALL
    variants = loaded.catalog.buildable if every else (arguments.variant,)
    for variant in variants:
        plan.described(loaded.catalog, variant)
    programs = tools_of(loaded, progress)
    moves = rollback.rollback(
        registry.connect(programs, arguments.registry, arguments.ca_file),
        arguments.to,
        variants,
        verifier_of(arguments, programs),
        arguments.require,
        progress,
        allow_dirty=arguments.allow_dirty,
    )
    if arguments.json:
        return json.dumps([vars(move) for move in moves], indent=1)
    return "\n".join(move.text for move in moves)
