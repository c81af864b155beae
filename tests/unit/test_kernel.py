"""What a machine forbids: settings, full disks and locales decide what can run, never whether an
image is good.
"""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.archives import layer, write
from worker_images.files import ROOT
from worker_images.model import kernel_settings
from worker_images.model.oci import archive

SETTINGS = {
    "user/max_user_namespaces": "96365",
    "kernel/unprivileged_userns_clone": "1",
    "kernel/apparmor_restrict_unprivileged_userns": "0",
}


def stand_in(folder: Path, **changed: str) -> Path:
    """A /proc/sys of one's own."""
    for name, value in (SETTINGS | changed).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return folder


def test_machine_that_allows_user_namespaces_forbids_nothing(tmp_path: Path) -> None:
    assert kernel_settings.forbids_unprivileged(kernel_settings.values(stand_in(tmp_path))) == ""
    assert kernel_settings.forbids_unprivileged(kernel_settings.values(tmp_path / "none")) == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("user/max_user_namespaces", "0"),
    ],
)
def test_setting_that_forbids_user_namespaces_is_named_with_its_remedy(
    name: str, value: str, tmp_path: Path
) -> None:
    reason = kernel_settings.forbids_unprivileged(
        kernel_settings.values(stand_in(tmp_path, **{name: value}))
    )
    dotted = name.replace("/", ".")
    assert reason.startswith(
        f"{dotted} is {value}, so only root makes a sandbox on this machine; sysctl -w {dotted}="
    )


def test_setting_of_another_matter_forbids_nothing(tmp_path: Path) -> None:
    """Root's sandboxes suffer from it alike."""
    folder = stand_in(tmp_path)
    (folder / "vm").mkdir()
    (folder / "vm/max_map_count").write_text("1")
    assert kernel_settings.values(folder)["vm.max_map_count"] == 1
    assert kernel_settings.forbids_unprivileged(kernel_settings.values(folder)) == ""


def raising(error: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """pytest, with the harness's options, on a test that raises an error."""
    (folder / "test_x.py").write_text(f"def test_x():\n    raise {error}\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "worker_images.harness.options",
        "-p",
        "no:cacheprovider",
        str(folder),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_ends_the_run_as_the_machines_fault(number: int, tmp_path: Path) -> None:
    result = raising(f"OSError({number}, 'No space left on device', '/small/file')", tmp_path)
    assert result.returncode == 4
    assert (
        "/small/file: No space left on device; layers are unpacked there: set TMPDIR"
        in result.stdout
    )


@pytest.mark.parametrize(
    "error",
    [
        "MemoryError()",
        *(f"OSError({number}, 'x')" for number in (errno.EFBIG, errno.EMFILE, errno.EROFS)),
    ],
)
def test_limit_of_the_machine_ends_the_run_as_its_fault(error: str, tmp_path: Path) -> None:
    result = raising(error, tmp_path)
    assert result.returncode == 4
    assert "; see: ulimit -a" in result.stdout


def test_error_that_an_image_may_cause_is_a_failed_check(tmp_path: Path) -> None:
    """The control of the two tests above."""
    assert raising(f"OSError({errno.ENOENT}, 'x')", tmp_path).returncode == 1


def test_full_disk_is_not_a_bad_archive(tmp_path: Path) -> None:
    """A real file system of 64 KiB, in a mount namespace of its own."""
    if os.geteuid() != 0:
        pytest.skip("not run: mounting a small file system needs root")
    (tmp_path / "small").mkdir()
    path = write(tmp_path / "image.tar", [layer(("file", "a", "x" * 200_000))])
    program = (
        "import sys; from pathlib import Path; from worker_images.model.oci import archive\n"
        "try: archive.load(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "except OSError as error: print(type(error).__name__, error.errno)\n"
    )
    script = 'mount -t tmpfs -o size=64k tmpfs "$3" && exec "$0" -c "$1" "$2" "$3"'
    command = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        script,
        sys.executable,
        program,
        str(path),
        str(tmp_path / "small"),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout == f"OSError {errno.ENOSPC}\n", result.stderr


def test_names_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    """Certificates have names with letters of many languages."""
    path = write(tmp_path / "image.tar", [layer(("file", "usr/share/Főtanúsítvány.crt", ""))])
    program = "import sys; from pathlib import Path; from worker_images.model.oci import archive\n"
    program += (
        "image = archive.load(Path(sys.argv[1]), Path(sys.argv[2]));"
        " print(ascii(image.layers[0].entries[0].path))\n"
    )
    expected = ascii(archive.load(path, tmp_path).layers[0].entries[0].path)
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", program, str(path), str(tmp_path)]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert result.stdout == f"{expected}\n", result.stderr
    assert "Főtanúsítvány" in archive.load(path, tmp_path).layers[0].entries[0].path
