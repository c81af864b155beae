"""Debian's slim image: made by debootstrap, then reduced as Debian's builders of images do."""

import subprocess
from pathlib import Path

from tests.upstream.signing import Signer

# What https://github.com/debuerreotype/debuerreotype writes (.debuerreotype-... and .slimify-...).
SETTINGS = {
    "etc/apt/apt.conf.d/docker-clean": """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb"
" /var/cache/apt/*.bin || true"; };
APT::Update::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"
" /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
""",
    "etc/apt/apt.conf.d/docker-gzip-indexes": 'Acquire::GzipIndexes "true";\n',
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
    "etc/apt/apt.conf.d/docker-autoremove-suggests": (
        'Apt::AutoRemove::SuggestsImportant "false";\n'
    ),
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
    "etc/dpkg/dpkg.cfg.d/docker": """\
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/info/*
path-exclude /usr/share/lintian/*
""",
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    "etc/apt/sources.list.d/debian.sources": """\
Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
""",
}
REDUCE = """\
set -eu
cd "$1"
find usr/share/doc -mindepth 2 ! -type d ! -name copyright -delete
rm -rf usr/share/man/* usr/share/info/* usr/share/locale/* usr/share/lintian/*
rm -rf var/lib/apt/lists/* var/cache/apt/* var/cache/debconf/* var/log/* tmp/* dev/* proc/* sys/*
rm -f etc/apt/sources.list etc/hostname etc/resolv.conf etc/machine-id var/cache/ldconfig/*
chmod 0755 usr/sbin/policy-rc.d
"""


def make(archive: Path, program: Path, folder: Path, signer: Signer) -> Path:
    """Write the tar of a root filesystem from an archive; `program` holds debootstrap."""
    root, target = folder / "trixie", folder / "trixie.tar"
    command = ["env", f"DEBOOTSTRAP_DIR={program}/usr/share/debootstrap"]
    command += ["sh", f"{program}/usr/sbin/debootstrap", "--variant=minbase", "--arch=amd64"]
    command += [f"--keyring={signer.keyring}", "trixie", str(root), f"file://{archive}"]
    # In a mount namespace: debootstrap mounts /proc.
    _run("unshare", "--mount", "--propagation", "private", *command)
    for name, text in SETTINGS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for path in root.glob("usr/share/keyrings/debian-archive-*"):
        path.unlink()
    for suffix in ("gpg", "pgp"):
        keyring = root / f"usr/share/keyrings/debian-archive-keyring.{suffix}"
        keyring.write_bytes(signer.keyring.read_bytes())
    _run("sh", "-c", REDUCE, "sh", str(root))
    _run("tar", "-C", str(root), "--sort=name", "--numeric-owner", "-cf", str(target), ".")
    _run("rm", "-rf", str(root))
    return target


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[:8]}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
