"""scripts/setup with settings that redirect pip or Python, and with failing programs."""

import ast
import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker_images.files import ROOT

# The programs that scripts/setup runs; a test that hides a program provides only these.
PROGRAMS = ("cat", "chmod", "cut", "dirname", "env", "mkdir", "rm", "sh", "sha256sum", "tail")


@dataclass(frozen=True)
class Checkout:
    """A checkout with one package to install, and a user's home folder."""

    root: Path
    home: Path

    def setup(self, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Run the script with these environment variables."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            **settings,
        }
        command = [str(self.root / "scripts/setup"), *arguments]
        return subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def configure(self, *lines: str) -> None:
        """Write the user's pip.conf, which also names the index."""
        file = self.home / ".config/pip/pip.conf"
        file.parent.mkdir(parents=True)
        index = ("[global]", "no-index = true", f"find-links = {self.root}/index")
        file.write_text("\n".join([*index, *lines, ""]))

    @property
    def stamped(self) -> bool:
        return (self.root / ".venv/requirements.txt.sha256").exists()

    @property
    def installed(self) -> bool:
        return any((self.root / ".venv").glob("lib/python3*/site-packages/small.py"))


def wheel(folder: Path, text: str = "") -> str:
    """Write a wheel with one module; return its line for requirements.txt."""
    folder.mkdir(exist_ok=True)
    path = folder / "small-1.0-py3-none-any.whl"
    information = "small-1.0.dist-info"
    files = {
        "small.py": text,
        f"{information}/METADATA": "Metadata-Version: 2.1\nName: small\nVersion: 1.0\n",
        f"{information}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = [*files, f"{information}/RECORD"]
    files[f"{information}/RECORD"] = "".join(f"{name},,\n" for name in rows)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return f"small==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with only pip, linked from this checkout to save time."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    for path in (ROOT / ".venv" / packages.relative_to(folder)).glob("pip*"):
        (packages / path.name).symlink_to(path)
    return folder


@pytest.fixture
def checkout(environment: Path, tmp_path: Path) -> Checkout:
    """A checkout with a copy of that environment."""
    root, home = tmp_path / "checkout", tmp_path / "home"
    (root / "scripts").mkdir(parents=True)
    home.mkdir()
    shutil.copy(ROOT / "scripts/setup", root / "scripts/setup")
    (root / "requirements.txt").write_text(wheel(root / "index"))
    shutil.copytree(environment, root / ".venv", symlinks=True)
    return Checkout(root, home)


@pytest.fixture
def redirected(tmp_path: Path) -> Iterator[Path]:
    """The folder that settings redirect to; it must stay empty."""
    folder = tmp_path / "redirected"
    yield folder
    assert not folder.exists()


def test_setup_replaces_an_environment_of_an_old_python(
    checkout: Checkout,
) -> None:
    """The index of pip.conf is used; a second run does nothing."""
    python = checkout.root / ".venv/bin/python"
    python.unlink()
    check = 'case "$*" in *version_info*) exit 1 ;; esac'
    python.write_text(f'#!/bin/sh\n{check}\nexec {ROOT}/.venv/bin/python "$@"\n')
    python.chmod(0o755)
    checkout.configure()
    done = checkout.setup()
    assert (done.returncode, done.stderr) == (0, "setup: installing requirements.txt into .venv\n")
    assert (checkout.installed, checkout.stamped) == (True, True)
    assert checkout.setup().stderr == ""


@pytest.mark.parametrize(
    "names",
    [
        "PIP_USER PIP_REQUIRE_VIRTUALENV PIP_DRY_RUN",
        "PIP_TARGET",
        "PIP_PREFIX PIP_ROOT",
        "PIP_PYTHON",
    ],
)
def test_setup_ignores_pip_variables_that_redirect_packages(
    names: str,
    checkout: Checkout,
    redirected: Path,
) -> None:
    """Each variable alone would redirect them."""
    checkout.configure()
    values = {
        "PIP_TARGET": str(redirected),
        "PIP_PREFIX": str(redirected),
        "PIP_ROOT": str(redirected),
        "PIP_PYTHON": "/usr/bin/python3",
    }
    done = checkout.setup(**{name: values.get(name, "1") for name in names.split()})
    assert (done.returncode, checkout.installed, checkout.stamped) == (0, True, True), done.stderr


SETTINGS = ("[install]\nuser = true", "target = {}", "root = {}\n[install]\nprefix = {}")


@pytest.mark.parametrize("settings", SETTINGS)
def test_setup_ignores_pip_conf_that_redirects_packages(
    settings: str,
    checkout: Checkout,
    redirected: Path,
) -> None:
    """The index that the same file names is used."""
    checkout.configure(settings.replace("{}", str(redirected)))
    done = checkout.setup()
    assert (done.returncode, checkout.installed, checkout.stamped) == (0, True, True), done.stderr


@pytest.mark.parametrize("variable", ["PYTHONHOME", "PYTHONPATH"])
def test_setup_ignores_python_variables_that_redirect_modules(
    variable: str,
    checkout: Checkout,
    tmp_path: Path,
) -> None:
    """Neither the machine's Python nor that of the environment imports them."""
    checkout.configure()
    other = tmp_path / "other"
    other.mkdir()
    for name in ("venv", "pip", "small"):
        (other / f"{name}.py").write_text("raise SystemExit('another module')\n")
    done = checkout.setup(**{variable: str(other)})
    assert (done.returncode, checkout.installed, checkout.stamped) == (0, True, True), done.stderr


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


def machine(folder: Path, **programs: str) -> str:
    """Return a PATH with the usual programs and these scripts."""
    folder.mkdir()
    for name in PROGRAMS:
        (folder / name).symlink_to(str(shutil.which(name)))
    for name, text in {
        "id": "echo 0",
        "python3": f'exec {sys.executable} "$@"',
        **programs,
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return str(folder)


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


def test_setup_refuses_an_old_python_in_one_line(checkout: Checkout, tmp_path: Path) -> None:
    old = 'case "$*" in *version_info*) exit 1 ;; *python_version*) echo 3.10.12 ;; esac'
    done = checkout.setup(PATH=machine(tmp_path / "programs", python3=old))
    fix = "put a newer python3 first on PATH"
    message = f"setup: Python 3.11 or later is required; python3 is 3.10.12; {fix}\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_build_refuses_an_old_python_in_one_line(tmp_path: Path) -> None:
    """The check runs before any import that an old Python lacks."""
    program = "import runpy, sys; sys.version_info = (3, 10, 13, 'final', 0); "
    program += "runpy.run_path(sys.argv[1], run_name='__main__')"
    done = subprocess.run(
        ["/usr/bin/python3", "-c", program, str(shutil.copy(ROOT / "build.py", tmp_path))],
        capture_output=True,
        text=True,
        check=False,
    )
    fix = "put a newer python3 first on PATH and run: make setup"
    message = f"build.py needs Python 3.11 or later; found 3.10.13; {fix}\n"
    assert (done.returncode, done.stderr) == (2, message)


def test_build_py_parses_in_every_python_3() -> None:
    """An old Python would report only a syntax error."""
    assert ast.parse((ROOT / "build.py").read_text(), feature_version=(3, 6)).body
