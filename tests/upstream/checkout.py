"""A copy of this checkout whose pins are those of the stand-ins; all else is as committed."""

import base64
import json
import subprocess
from dataclasses import replace
from pathlib import Path

from tests.upstream import hosts
from tests.upstream.sites import NEWER_GVISOR, Digests
from worker_images.build import requirements
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.model.drivers.table import DRIVERS
from worker_images.model.lock import Lock, lock_of
from worker_images.model.pins import Pins


def copy(folder: Path, digests: Digests) -> Path:
    """Copy the files of the checkout, with the pins of the stand-ins; out/ is its own."""
    listing = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    listing.append("--exclude-standard")
    done = subprocess.run(listing, check=True, capture_output=True, text=True)
    names = [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]
    folder.mkdir()
    copying = ["cp", "--archive", "--parents", "--target-directory", str(folder), "--", *names]
    subprocess.run(copying, cwd=ROOT, check=True)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    pins = project.read(ROOT).pins
    edit(folder, _old_and_new(pins, digests))
    return folder


def _old_and_new(pins: Pins, digests: Digests) -> dict[str, str]:
    own = {name: pin.upstream for name, pin in pins.components.items() if pin.upstream}
    return {
        pins.debian.digest: digests.debian,
        str(own["gvisor"].sha512): digests.runsc,
        str(own["runc"].sha256): digests.runc,
        str(own["nvidia-container-toolkit"].sha256): digests.key,
        str(own["cuda-runtime"].digest): digests.cuda,
    }


def edit(folder: Path, texts: dict[str, str]) -> None:
    """Replace texts in versions.yaml, and what the lock repeats of it."""
    versions = folder / "versions.yaml"
    text = versions.read_text()
    for old, new in texts.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    versions.write_text(text)
    lock = lock_of(versions)
    published = requirements.published(project.read(folder))
    lock.write_text(replace(Lock.read(lock), published=published).as_text())


def use_newer_gvisor(folder: Path, digests: Digests) -> None:
    """Pin a release of gVisor that publishes archives; its drivers are those of its runsc."""
    pin = project.read(ROOT).pins.components["gvisor"]
    table = folder / DRIVERS
    data = json.loads(table.read_text())
    data["releases"][NEWER_GVISOR] = data["releases"][pin.version]
    table.write_text(json.dumps(data))
    edit(
        folder,
        {
            f'    version: "{pin.version}"': f'    version: "{NEWER_GVISOR}"',
            str(pin.packages.describe): f"{NEWER_GVISOR}-1-g000000000",
            digests.runsc: digests.newer_gvisor,
        },
    )


def pin_arm64(folder: Path, digests: Digests) -> None:
    """Pin made-up digests of the files for arm64."""
    lines = {
        f'      sha512: "{digests.runsc}"\n': f'      arm64:\n        sha512: "{"a" * 128}"\n',
        f'      sha256: "{digests.runc}"\n': f'      arm64:\n        sha256: "{"b" * 64}"\n',
    }
    edit(folder, {own: own + other for own, other in lines.items()})


def use_mirrors(folder: Path) -> None:
    """Name a mirror for each address, as Artifactory serves them."""
    root = f"https://{hosts.MIRROR}:8443/artifactory"
    rows = {
        "docker.io": f"{hosts.MIRROR}:8443/docker-hub",
        f"http://{hosts.DEBIAN}": f"{root}/debian",
    }
    own = {hosts.GITHUB: "github", hosts.BUCKET: "gvisor", hosts.NVIDIA: "nvidia"}
    rows |= {f"https://{host}": f"{root}/{name}" for host, name in own.items()}
    lines = [f"  {json.dumps(start)}: {json.dumps(mirror)}" for start, mirror in rows.items()]
    with (folder / "versions.yaml").open("a") as file:
        file.write("\n".join(["mirrors:", *lines, ""]))


def write_logins(home: Path) -> None:
    """Write a user's logins for the mirror: netrc, and docker's."""
    home.mkdir(exist_ok=True)
    login = f"machine {hosts.MIRROR} login {hosts.USER} password {hosts.PASSWORD}\n"
    (home / ".netrc").write_text(login)
    (home / ".netrc").chmod(0o600)
    auth = base64.b64encode(f"{hosts.USER}:{hosts.PASSWORD}".encode()).decode()
    (home / ".docker").mkdir(exist_ok=True)
    auths = {"auths": {f"{hosts.MIRROR}:8443": {"auth": auth}}}
    (home / ".docker/config.json").write_text(json.dumps(auths))
