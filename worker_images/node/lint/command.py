"""The command lint: checks the OCI specification of a GPU container."""

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from worker_images.errors import UsageError
from worker_images.node import node, options
from worker_images.node.command import CHECK_FAILED, OK, Command, Log
from worker_images.node.lint import lint, shape, view
from worker_images.node.lint.request import LaunchRequest
from worker_images.untrusted import UntrustedError, read_json


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bundle", type=Path, help="a bundle's folder, or a config.json")
    options.add_host(parser)
    parser.add_argument("flags", nargs="*", metavar="FLAG", help="runsc's flags, after --")
    parser.add_argument("--runsc", type=Path, metavar="FILE", help="the runsc binary, to check it")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--strict", action="store_true", help="also fail for warnings")


def _lint(arguments: argparse.Namespace, _: Path, __: Log) -> tuple[int, str]:
    path = arguments.bundle / "config.json" if arguments.bundle.is_dir() else arguments.bundle
    try:
        specification = shape.checked(read_json(path))
    except UntrustedError as error:
        raise UsageError(f"{path}: not an OCI specification: {error}") from error
    request = LaunchRequest(
        view.with_absolute_paths(specification, path.parent),
        node.read(),
        tuple(arguments.flags),
        arguments.runsc,
        arguments.host,
    )
    found = lint.findings(request)
    failing = {lint.ERROR, lint.WARNING} if arguments.strict else {lint.ERROR}
    status = CHECK_FAILED if any(each.severity in failing for each in found) else OK
    if arguments.json:
        return status, json.dumps([asdict(each) for each in found], indent=1)
    lines = [
        f"{path}: {each.rule} {each.where}: {each.severity}: {each.problem}; {each.step}"
        for each in found
    ]
    if status == OK:
        lines.append(f"{path}: {_counted(found) or f'{len(lint.RULES)} rules passed'}")
    return status, "\n".join(lines)


def _counted(found: tuple[lint.Finding, ...]) -> str:
    """Return how many findings of each severity there are; empty without one."""
    counts = Counter(each.severity for each in found)
    names = (f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items())
    return f"no error, {' and '.join(names)}" if found else ""


COMMAND = Command(
    "lint",
    "check the OCI specification of a GPU container",
    "/run/bundle -- --nvproxy --platform=systrap",
    _add_arguments,
    _lint,
    takes_flags=True,
)
