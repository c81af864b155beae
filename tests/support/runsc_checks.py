"""Checks of runsc's release that several layers share: of an image, a pod and a node.

Each layer imports them, and has the fixtures `run_runsc`, `release`, `contract` and `seen`.
"""

import re
from collections.abc import Callable

from worker_images.harness.options import Seen
from worker_images.model.drivers.table import Release, Table, order
from worker_images.node.place import CommandResult

RunRunsc = Callable[..., CommandResult]

VERSION = re.compile(r"^runsc version release-(\d{8}\.\d+)(\S*)\n")
# First release of each flag, from runsc/config/flags.go at each tag.
FLAGS = {
    "nvproxy": "20230529.0",
    "nvproxy-docker": "20230529.0",
    "nvproxy-driver-version": "20240422.0",
    "nvproxy-allowed-driver-capabilities": "20240930.0",
    "gvisor-marker-file": "20250421.0",
    "nvproxy-allow-unsupported-driver": "20260615.0",
}


def _version(run_runsc: RunRunsc) -> re.Match[str]:
    found = run_runsc("--version")
    version = VERSION.match(found.output)
    assert version, f"not the version of a gVisor release: {found.output}{found.errors}"
    return version


def reported_name(run_runsc: RunRunsc) -> str:
    """The gVisor release that runsc reports."""
    return _version(run_runsc)[1]


def reported(run_runsc: RunRunsc, drivers: Table) -> Release:
    """The release that runsc reports, with its drivers.

    A build from a later commit may serve the drivers of the next release.
    """
    version = _version(run_runsc)
    names = [release.name for release in drivers]
    assert version[1] in names, f"drivers.json has no entry for release {version[1]}"
    first = names.index(version[1])
    last = first + 1 if version[2] else first
    found = set(served(run_runsc))
    candidates = drivers.releases[first : last + 1]
    return next((each for each in candidates if set(each.supported) == found), candidates[0])


def served(run_runsc: RunRunsc) -> list[str]:
    """The drivers that runsc lists."""
    found = run_runsc("nvproxy", "list-supported-drivers")
    assert found.status == 0, f"runsc does not list its drivers: {found.errors}"
    return found.output.split()


def test_runsc_drivers_match_the_release(
    run_runsc: RunRunsc, contract: Release, seen: Seen
) -> None:
    """runsc serves the drivers of its release; a build can report any release."""
    found = served(run_runsc)
    seen(f"release-{contract.name}, with that release's {len(found)} drivers")
    assert sorted(found) == sorted(contract.supported), (
        f"not the drivers of release {contract.name}: {found}"
    )


def test_runsc_flags_match_the_release(run_runsc: RunRunsc, release: str, seen: Seen) -> None:
    """`runsc help` lists commands; `runsc flags` lists flags."""
    answer = run_runsc("flags")
    text = f"{answer.output}\n{answer.errors}"
    found = set(re.findall(r"^  -([a-z0-9-]+)", text, re.MULTILINE)) & set(FLAGS)
    expected = {flag for flag, since in FLAGS.items() if order(since) <= order(release)}
    seen(", ".join(f"-{flag}" for flag in sorted(found)))
    assert found == expected, f"release {release} has {sorted(expected)}, not {sorted(found)}"


def test_nvproxy_flags_are_accepted(run_runsc: RunRunsc, seen: Seen) -> None:
    """runsc parses flags before the command."""
    answer = run_runsc("--nvproxy", "--nvproxy-driver-version=latest", "--version")
    seen(f"--nvproxy: status {answer.status}")
    assert answer.status == 0, f"runsc refuses --nvproxy: {answer.errors}"


def test_unknown_flag_is_refused(run_runsc: RunRunsc, seen: Seen) -> None:
    """The control: a runsc that accepts any flag would pass the check above."""
    answer = run_runsc("--no-such-flag", "--version")
    seen(f"--no-such-flag: status {answer.status}")
    assert answer.status == 2, f"runsc accepts an unknown flag: status {answer.status}"
    assert "flag provided but not defined: -no-such-flag" in answer.errors, answer.errors
