"""Options of the commands that release and verify."""

import argparse
from collections.abc import Callable
from pathlib import Path

from worker_images.build import requirements
from worker_images.errors import UsageError
from worker_images.model.project import Project
from worker_images.release import policy, tools
from worker_images.release.cosign import MAX_KEY, PUBLIC, Verifier
from worker_images.release.tools import Tools

Progress = Callable[[str], None]

CODES = """
exit codes: 0 ok, 5 a check failed, 6 registry, 7 policy, tag or signature; others:
./build.py --help
"""


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options of a registry and of the output."""
    parser.add_argument(
        "--ca-file", type=_file, metavar="FILE", help="the CA of the registry's certificate"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_verifier(parser: argparse.ArgumentParser) -> None:
    """Add the options that name who must have signed."""
    parser.add_argument("--key", type=Path, metavar="FILE", help="the public key")
    parser.add_argument("--identity", default="", help="the identity that signed without a key")
    parser.add_argument("--issuer", default="", help="who vouches for that identity")
    parser.add_argument(
        "--trusted-root", type=Path, metavar="FILE", help="Sigstore's authorities, for use offline"
    )
    parser.add_argument(
        "--require",
        type=layers,
        default=(),
        metavar="LAYER[,LAYER]",
        help="test layers that must have passed completely; image must always have passed",
    )
    parser.add_argument(
        "--allow-dirty",
        action="store_true",
        help="accept a release that was built with changes that are not committed",
    )
    add_place(parser)


def layers(text: str) -> tuple[str, ...]:
    """The layers of --require; raises UsageError."""
    return tuple(sorted(policy.required([text])))


def _file(text: str) -> Path:
    """The path of a file that exists."""
    if not (path := Path(text)).is_file():
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return path


def tools_of(loaded: Project, progress: Progress) -> Tools:
    """The release tools; raises FetchError or EngineError."""
    return tools.ensure(loaded, requirements.load(loaded), progress)


def verifier_of(arguments: argparse.Namespace, programs: Tools) -> Verifier:
    """Whose signatures count; raises UsageError."""
    named = [bool(arguments.identity), bool(arguments.issuer)]
    if any(named) != all(named) or bool(arguments.key) == all(named):
        raise UsageError("name who must have signed: --key FILE, or --identity and --issuer")
    for option in ("key", "trusted_root"):
        path = getattr(arguments, option)
        if path and not path.is_file():
            raise UsageError(f"--{option.replace('_', '-')} {path}: no such file")
    if arguments.key and PUBLIC not in arguments.key.read_bytes()[:MAX_KEY]:
        raise UsageError(
            f"--key {arguments.key}: not a public key in PEM; name the .pub file of the pair"
        )
    return Verifier(
        programs, arguments.key, arguments.identity, arguments.issuer, arguments.trusted_root
    )
