"""The commands `build.py release`, `release-notes` and `release-key`."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from worker_images.build.plan import ALL
from worker_images.build.requirements import ARCHITECTURES
from worker_images.cli import parsers
from worker_images.cli.release_options import CODES, add_place, layers, tools_of
from worker_images.model import project
from worker_images.release import cosign, notes, release, sizes
from worker_images.release.names import check_name
from worker_images.release.record import Released, check_since
from worker_images.release.request import Request

Progress = Callable[[str], None]

RELEASE_EXAMPLES = f"""\
examples:
  ./build.py release-key --output release              make release.key and release.pub, once
  ./build.py release --variant all --to registry.example/team/worker --version 1.4.0 \\
      --key release.key
  ./build.py release ... --dry-run                     build, test and compare; push nothing
  ./build.py release ... --compression zstd            smaller layers, which containerd 1.5 reads
  ./build.py release ... --require image,workload --results from-gpu-node

The same command again finishes a release that was interrupted.
{CODES}"""
NOTES_EXAMPLES = """\
examples:
  ./build.py release-notes 1.4.0 > out/notes.md
  ./build.py release-notes 1.4.0 --since 1.3.2
  ./build.py release-notes 1.4.0 --zstd                also show the sizes with zstd
"""
KEY_EXAMPLES = """\
examples:
  COSIGN_PASSWORD=... ./build.py release-key --output release
"""


def parser() -> argparse.ArgumentParser:
    """The parser of `build.py release`."""
    made = parsers.of_command(
        "release",
        "Build and test images, publish exactly the tested bytes, sign them, and move tags last.",
        RELEASE_EXAMPLES,
    )
    made.add_argument("--variant", required=True, help="the variant to release, or all")
    made.add_argument("--to", required=True, metavar="REGISTRY/NAME", help="the repository")
    made.add_argument("--version", required=True, help="tags become VERSION-VARIANT and VARIANT")
    _add_tests(made)
    made.add_argument(
        "--arch",
        choices=ARCHITECTURES,
        action="append",
        default=[],
        help="release only this platform; may be repeated; default: platforms in variant.yaml",
    )
    parsers.add_compression(made)
    made.add_argument(
        "--dry-run", action="store_true", help="build and test; push, sign and tag nothing"
    )
    _add_signing(made)
    add_place(made)
    return made


def _add_tests(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--require",
        type=layers,
        default=(),
        metavar="LAYER[,LAYER]",
        help="test layers that must have passed completely; image must always have passed",
    )
    parser.add_argument(
        "--results",
        type=Path,
        action="append",
        default=[],
        metavar="PATH",
        help="results of tests elsewhere, such as on a GPU node: a folder with LAYER.xml, or such a"
        " file; may be repeated",
    )
    parser.add_argument(
        "--results-key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="the key that sealed results on another machine; may be repeated",
    )
    parser.add_argument(
        "--no-build", action="store_true", help="release what is in out/; refuse what is not tested"
    )


def _add_signing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="sign with this key; its password: COSIGN_PASSWORD"
    )
    parser.add_argument(
        "--keyless", action="store_true", help="sign as the identity of the hosted workflow"
    )
    parser.add_argument(
        "--identity",
        default="",
        metavar="URI",
        help="with --keyless: the workflow, such as"
        " https://github.com/OWNER/REPO/.github/workflows/release.yaml@refs/tags/v1.4.0",
    )
    parser.add_argument(
        "--issuer",
        default="",
        metavar="URI",
        help="with --keyless: who issued the identity, such as"
        " https://token.actions.githubusercontent.com",
    )
    parser.add_argument(
        "--builder-id",
        default="",
        metavar="URI",
        help="the builder in the provenance, for a build service of yours",
    )
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="allow changes that are not committed; the tag VARIANT then stays",
    )
    parser.add_argument(
        "--keep-floating", action="store_true", help="set only the tag VERSION-VARIANT"
    )


def publish(argv: list[str], root: Path, progress: Progress) -> str:
    """Release images and return what was done."""
    arguments = parser().parse_args(argv)
    loaded = project.load(root)
    every = loaded.catalog.buildable
    request = Request(
        variants=every if arguments.variant == ALL else (arguments.variant,),
        target=arguments.to,
        version=arguments.version,
        architectures=tuple(arguments.arch),
        compression=arguments.compression,
        required=arguments.require,
        results=tuple(arguments.results),
        key=arguments.key,
        keyless=arguments.keyless,
        identity=arguments.identity,
        issuer=arguments.issuer,
        ca_file=arguments.ca_file,
        builder_id=arguments.builder_id,
        allow_dirty=arguments.allow_dirty,
        keep_floating=arguments.keep_floating,
        build=not arguments.no_build,
        results_keys=tuple(arguments.results_key),
        dry_run=arguments.dry_run,
    )
    outcomes = release.run(request, loaded, progress)
    if arguments.json:
        return json.dumps([outcome.as_data() for outcome in outcomes], indent=1)
    return "\n\n".join(outcome.text(request) for outcome in outcomes)


def write_notes(argv: list[str], root: Path, progress: Progress) -> str:
    """Return the notes of a release as Markdown."""
    parser = parsers.of_command(
        "release-notes", "Print the notes of a release as Markdown.", NOTES_EXAMPLES
    )
    parser.add_argument("version", metavar="VERSION", help="a version that was released from here")
    parser.add_argument("--since", metavar="VERSION", help="also list the changes since then")
    parser.add_argument(
        "--registry",
        default="",
        metavar="REGISTRY/NAME",
        help="the repository, if the version was released to several",
    )
    parser.add_argument(
        "--zstd",
        action="store_true",
        help="measure the sizes with zstd, once for each release: a minute for each image",
    )
    arguments = parser.parse_args(argv)
    if name := arguments.registry:
        check_name(name, "--registry")
    released, since = Released.read(root, arguments.version, name), None
    if arguments.since is not None:
        check_since(arguments.since, arguments.version)
        since = Released.read(root, arguments.since, name)
    if arguments.zstd:
        released = sizes.with_zstd(released, root, progress)
        released.write(root)
    return notes.notes(released, since).rstrip("\n")


def make_key(argv: list[str], root: Path, progress: Progress) -> str:
    """Make a key pair for signing and return the paths."""
    parser = parsers.of_command(
        "release-key", "Make a key pair: FILE.key signs releases, FILE.pub verifies.", KEY_EXAMPLES
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="the pair becomes FILE.key and FILE.pub; COSIGN_PASSWORD protects FILE.key",
    )
    output = parser.parse_args(argv).output
    prefix = output.with_suffix("") if output.suffix in {".key", ".pub"} else output
    pair = cosign.make_key(tools_of(project.read(root), progress), prefix)
    return f"private   {pair[0]}\npublic    {pair[1]}"
