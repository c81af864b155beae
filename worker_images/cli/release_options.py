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
exit codes: 0 ok, 2 an option is not valid, 5 a check failed, 6 registry, 7 policy, tag or
signature; others: ./build.py --help
"""
READING_CODES = """
exit codes: 0 ok, 2 an option or a name is not valid, or a file or folder is missing, 6 the
registry failed, or what is named does not exist in it or in the folder, 7 a signature, a
statement, a tag or bytes are refused; others: ./build.py --help
"""
# argparse would break the address.
IDENTITY = """\
--issuer https://token.actions.githubusercontent.com \\
      --identity https://github.com/OWNER/REPO/.github/workflows/release.yaml@refs/tags/v1.4.0"""
SIGNED = "name who must have signed:"


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options of a registry and of the output."""
    parser.add_argument(
        "--ca-file", type=_file, metavar="FILE", help="the CA of the registry's certificate"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def add_verifier(parser: argparse.ArgumentParser) -> None:
    """Add the options that name who must have signed."""
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="the publisher's public key, such as release.pub"
    )
    parser.add_argument(
        "--identity",
        default="",
        metavar="URL",
        help="the workflow that signed without a key, at its tag; for GitHub see the last example",
    )
    parser.add_argument(
        "--issuer",
        default="",
        metavar="URL",
        help="with --identity: the service that vouches for it; for GitHub"
        " https://token.actions.githubusercontent.com",
    )
    parser.add_argument(
        "--trusted-root",
        type=Path,
        metavar="FILE",
        help="with --identity, without a network: Sigstore's trusted_root.json, which"
        " `cosign initialize` writes below ~/.sigstore/root",
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
    if arguments.key and any(named):
        raise UsageError(f"{SIGNED} either --key, or --identity and --issuer, not both")
    if any(named) != all(named) or not (arguments.key or all(named)):
        raise UsageError(f"{SIGNED} --key FILE, or --identity and --issuer")
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
