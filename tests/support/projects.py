"""Small projects for tests, on top of this checkout."""

import shutil
from pathlib import Path

from worker_images.files import ROOT

COMPONENT = """\
argument: "JQ_VERSION"
packages:
  kind: "debian"
  package: "jq"
  architectures: ["amd64", "arm64"]
upstream:
  kind: "debian"
  package: "jq"
licence: "MIT"
"""
EXPECT = """\
files:
  /usr/bin/jq: "0755"
marks: ["jq - commandline JSON processor"]
traces: ["*/jq"]
"""
VARIANT = """\
purpose: "slim and jq"
components: ["gvisor", "jq"]
platforms: ["amd64"]
"""
VARIANT_EXPECT = """\
megabytes:
  amd64: "80"
environment:
  PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""
PINS = """\
components:
  jq:
    version: "1.7"
fleet:
  drivers: ["580.159.04"]
"""
FILES = {
    "versions.yaml": PINS,
    "images/components/jq/component.yaml": COMPONENT,
    "images/components/jq/expect.yaml": EXPECT,
    "images/tools/variant.yaml": VARIANT,
    "images/tools/expect.yaml": VARIANT_EXPECT,
}


def write(folder: Path, files: dict[str, str] | None = None) -> Path:
    """Write a project with a component and a variant of its own, and other files over them."""
    for name, text in {**FILES, **(files or {})}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def write_pins(folder: Path, pins: str) -> Path:
    """Write a project that has pins alone, and the lock of the checkout."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "versions.yaml").write_text(pins)
    shutil.copy(ROOT / "versions.lock", folder)
    return folder
