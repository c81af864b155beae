"""Do valid derived images, as users make them, pass all checks of the image layer?"""

import ensurepip
import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support import image_tests
from tests.support.derived_images import Settings, append, archive_of, derive, write_saved
from tests.support.elf_files import library, printing_program
from tests.support.made_up_secrets import SECRETS
from tests.support.members import CAPABILITY, Member, file, other, owned
from worker_images.model.results import FAILED

DERIVED = ("--mode", "derived", "--trust")
ALL = ("",)
RULE = "test_derived::test_later_layers_keep_the_rule[{}]"
URLLIB3 = "pip/_vendor/urllib3/util/url.py"
PACKAGES = "opt/venv/lib/python3.13/site-packages"
RECORD = """\
Package: jq
Status: install ok installed
Version: 1.7.1-6
Architecture: amd64
Depends: libc6
"""


def users() -> list[Member]:
    """What useradd and pwconv write."""
    accounts = append("etc/passwd", "app:x:1001:1001::/home/app:/bin/sh\n")[1]
    shadow = append("etc/shadow", "app:!:20000:0:99999:7:::\n")[1]
    return [
        file("etc/passwd", accounts.replace(b":*:", b":x:")),
        file("etc/passwd-", accounts),
        append("etc/group", "app:x:1001:\n"),
        file("etc/shadow", shadow, 0o640),
        file("etc/subuid", "app:100000:65536\n"),
        owned(other("folder", "home/app"), 1001),
    ]


def python() -> list[Member]:
    """An interpreter with its wheels, and a virtual environment with CUDA."""
    wheel = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    cuda = f"{PACKAGES}/nvidia/cuda_runtime"
    return [
        file(f"usr/local/lib/python3.13/ensurepip/_bundled/{wheel.name}", wheel.read_bytes()),
        file(f"{PACKAGES}/{URLLIB3}", ZipFile(wheel).read(URLLIB3)),
        file(f"{PACKAGES}/sqlalchemy/base.py", "postgresql://scott:tiger@localhost/test\n"),
        file(f"{PACKAGES}/google/auth/_mtls.py", f'r"{SECRETS["OpenSSH key"]}"\n'),
        file("usr/local/bin/python3.13", printing_program("Python 3.13\n"), 0o755),
        file(f"{cuda}/include/cuda.h", "#define CUDA_VERSION 12080\n"),
        file(f"{cuda}/lib/libcudart.so.12", library((), soname="libcudart.so.12")),
        file(f"{PACKAGES}/torch/bin/protoc", printing_program("libprotoc 3.13\n"), 0o755),
    ]


def sources() -> list[Member]:
    """Sources, documents, fonts, packages and folders whose names only look like programs."""
    return [
        other("folder", "usr/src/app"),
        file("usr/src/app/main.go", "package main // github.com/opencontainers/runc/main.go\n"),
        file("usr/src/app/go.mod", "module app\n"),
        other("folder", "usr/share/doc/runc"),
        file("usr/share/doc/runc/copyright", "Apache-2.0\n"),
        file("usr/share/fonts/truetype/criu/criu.ttf", b"\0\1\0\0"),
        file("usr/share/notes/runc", "runc is a command line client\n", 0o755),
        file("usr/include/app.h", "#pragma once\n"),
        file("var/cache/apt/archives/jq.deb", b"!<arch>\n"),
        file("var/lib/dpkg/status", RECORD),
        file("etc/ld.so.conf.d/app.conf", "/opt/app/lib\n"),
        other("link", "usr/local/bin/sandbox", "runsc"),
    ]


def test_image_with_python_users_and_sources_passes(tmp_path: Path) -> None:
    settings = Settings(
        environment=(
            "PIP_NO_CACHE_DIR=1",
            "CUDA_HOME=/opt/cuda",
            "DEBIAN_FRONTEND=noninteractive",
            "HF_TOKEN=/run/secrets/huggingface",
        ),
        labels={"org.example.use": "docker run --env HF_TOKEN=<your token>"},
        others={"WorkingDir": "/usr/src/app", "Cmd": ["python3.13"], "User": "app"},
    )
    archive = derive("slim", [*users(), *python(), *sources()], settings)
    found = image_tests.run("slim", archive.write(tmp_path / "image.tar"), ALL, *DERIVED)
    assert found.with_outcome(FAILED) == ()
    assert len(found.checks) > 50
    lines = (tmp_path / "image.derived.txt").read_text().splitlines()
    assert "/usr/src/app: a folder 0755 0:0; layer 3, made by: an unrecorded step" in lines
    assert len(lines) == len([*users(), *python(), *sources()])


def test_archive_without_index_history_and_labels_passes(tmp_path: Path) -> None:
    """Docker before version 25, kaniko and Bazel write such archives."""
    settings = Settings(others={"Labels": {"a": "x"}, "Entrypoint": ["/opt/run"]})
    archive = derive("full", [file("opt/run", "#!/bin/sh\n", 0o755)], settings)
    del archive.config["history"]
    path = write_saved(archive, tmp_path / "image.tar")
    found = image_tests.run("full", path, ALL, *DERIVED)
    assert found.with_outcome(FAILED) == ()
    assert len(found.checks) > 80


def test_built_image_passes_where_python_reads_files_as_ascii(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    archive = tmp_path / "image.tar"
    shutil.copy(archive_of("slim"), archive)
    found = image_tests.run("slim", archive, ALL, env=environment)
    assert found.with_outcome(FAILED) == ()


ENTRY = '  - path: "{}"\n    rule: "{}"\n    reason: "a reason"\n    expires: "{}"\n'


def allow_file(folder: Path, *entries: tuple[str, str, int]) -> Path:
    """An allow file whose entries expire in a number of days."""
    today = datetime.now(tz=UTC).date()
    rows = [ENTRY.format(path, rule, today + timedelta(days)) for path, rule, days in entries]
    path = folder / "allow.yaml"
    path.write_text("allow:\n" + "".join(rows))
    return path


@pytest.mark.parametrize("days", [0, -1])
def test_allowed_danger_passes_until_its_entry_expires(days: int, tmp_path: Path) -> None:
    """The JUnit file records the allowed paths with their reasons."""
    members = [file("opt/mount", b"x", 0o4755), file("opt/ping", b"x", 0o755, CAPABILITY)]
    archive = derive("slim", members, Settings()).write(tmp_path / "image.tar")
    allow = allow_file(
        tmp_path, ("/opt/m*", "setuid", days), ("/opt/ping", "setuid", 9), ("/x", "device", 9)
    )
    checks = [RULE.format(rule) for rule in ("setuid", "attribute")]
    found = image_tests.run("slim", archive, checks, *DERIVED, "--allow", str(allow))
    failed = {check.parameter for check in found.with_outcome(FAILED)}
    assert failed == ({"attribute"} if days == 0 else {"attribute", "setuid"})
    allowed = json.loads(found.properties["allowed"])
    assert [(each["paths"], each["reason"]) for each in allowed] == (
        [(["/opt/mount"], "a reason")] if days == 0 else []
    )


def test_secrets_that_an_owner_allows_pass(tmp_path: Path) -> None:
    text = f"{SECRETS['web']}\n"
    settings = Settings(environment=("APP_TOKEN=none",))
    archive = derive("slim", [file("opt/a.md", text), file("opt/b.md", text)], settings)
    path = archive.write(tmp_path / "image.tar")
    allow = allow_file(tmp_path, ("/opt/a.md", "secret", 9), ("ENV APP_TOKEN", "secret", 9))
    found = image_tests.failures("slim", path, ["test_secrets.py"], *DERIVED, "--allow", str(allow))
    assert [text.strip() for text in found.values()] == ["/opt/b.md: url with a password"]
