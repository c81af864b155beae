"""scripts/setup with failing programs: the stamp is missing, and the advice fits the fault."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.checkouts import Checkout, machine, wheel


def test_stamp_is_missing_when_pip_installs_nothing(checkout: Checkout) -> None:
    """pip reports success for a dry run."""
    checkout.configure("dry-run = true")
    done = checkout.setup()
    assert (done.returncode, checkout.stamped) == (4, False)
    assert "small: PackageNotFoundError" in done.stderr
    assert done.stderr.endswith("check pip's settings: .venv/bin/python -m pip config list\n")


def test_stamp_is_missing_when_a_package_cannot_be_imported(checkout: Checkout) -> None:
    """A wheel for another C library installs but fails on import."""
    text = wheel(checkout.root / "index", "import ctypes; ctypes.CDLL('libnone.so.1')")
    (checkout.root / "requirements.txt").write_text(text)
    checkout.configure()
    done = checkout.setup()
    assert (done.returncode, checkout.stamped) == (4, False)
    assert "small: OSError: libnone.so.1" in done.stderr


def test_hash_mismatch_is_not_reported_as_a_network_fault(checkout: Checkout) -> None:
    text = (checkout.root / "requirements.txt").read_text()
    (checkout.root / "requirements.txt").write_text(f"{text.partition(':')[0]}:{'0' * 64}\n")
    checkout.configure()
    done = checkout.setup()
    assert (done.returncode, checkout.stamped) == (3, False)
    assert "do not match the pinned hashes" in done.stderr
    assert "network" not in done.stderr


def test_missing_package_is_not_reported_as_a_network_fault(checkout: Checkout) -> None:
    checkout.configure()
    shutil.rmtree(checkout.root / "index")
    (checkout.root / "index").mkdir()
    done = checkout.setup()
    assert (done.returncode, checkout.stamped) == (3, False)
    assert "the package index does not have it; show the configured index" in done.stderr
    assert "network" not in done.stderr


def test_unreachable_index_is_reported_as_a_network_fault(checkout: Checkout) -> None:
    index = "http://127.0.0.1:9/simple"
    done = checkout.setup(PIP_INDEX_URL=index, PIP_RETRIES="0", no_proxy="127.0.0.1")
    assert (done.returncode, checkout.stamped) == (3, False)
    step = "check the network, proxies, CA and PIP_INDEX_URL, then run: make setup\n"
    assert done.stderr.endswith(step)


OUTPUTS = {
    "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device": (
        4,
        "the disk is full; free some space in ",
    ),
    "ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied: '/x'": (
        4,
        "cannot write there",
    ),
    "ERROR: No matching distribution found for small==1.0": (
        3,
        "the package index does not have it; show the configured index",
    ),
    "ERROR: an unknown error": (3, "see the output above; the full log is setup.log"),
}


@pytest.mark.parametrize("output", OUTPUTS)
def test_advice_fits_the_output_of_pip(output: str, checkout: Checkout) -> None:
    """Only a network fault names the network."""
    (pip,) = checkout.root.glob(".venv/lib/python3*/site-packages/pip")
    pip.unlink()
    pip.mkdir()
    (pip / "__init__.py").touch()
    program = f"open('setup.log', 'w').write({output!r})\nraise SystemExit(1)\n"
    (pip / "__main__.py").write_text(program)
    done = checkout.setup()
    code, advice = OUTPUTS[output]
    assert (done.returncode, checkout.stamped) == (code, False)
    assert advice in done.stderr
    assert "network" not in done.stderr


def test_advice_fits_the_output_of_ensurepip(checkout: Checkout, tmp_path: Path) -> None:
    """venv itself reports only that its last step failed."""
    shutil.rmtree(checkout.root / ".venv")
    made = (
        "mkdir -p .venv/bin && echo '#!/bin/sh\necho \"OSError: [Errno 28] No space left on"
        " device\" >&2; exit 1' >.venv/bin/python"
    )
    create = f'case "$*" in *"-m venv"*) {made} && chmod +x .venv/bin/python; exit 1 ;; esac'
    python = f'{create}\nexec {sys.executable} "$@"'
    done = checkout.setup(PATH=machine(tmp_path / "programs", python3=python))
    assert (done.returncode, checkout.stamped) == (4, False)
    assert "setup: python3 -m venv failed: the disk is full" in done.stderr


@pytest.mark.parametrize(
    ("output", "code", "advice", "network"),
    [
        (
            "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 9 (apt-get)",
            4,
            "another program is installing",
            False,
        ),
        (
            "E: You do not have enough space: write (28: No space left on device)",
            4,
            "the disk is full",
            False,
        ),
        (
            "E: Failed to fetch http://mirror.example/x.deb  Connection failed",
            3,
            "check the network, proxies",
            True,
        ),
    ],
)
def test_advice_fits_the_output_of_apt(
    output: str,
    code: int,
    advice: str,
    network: bool,
    checkout: Checkout,
    tmp_path: Path,
) -> None:
    path = machine(tmp_path / "programs", **{"apt-get": f'echo "{output}" >&2; exit 100'})
    done = checkout.setup("lint", PATH=path)
    assert done.returncode == code, done.stderr
    assert re.search(f"apt-get failed on shellcheck[:;] {advice}", done.stderr)
    assert ("network" in done.stderr) == network
