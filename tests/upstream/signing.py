"""A private CA with a certificate for each host, and keys that sign apt archives; made anew."""

import os
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

AUTHORITY = """\
set -eu
cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \\
  -keyout ca.key -out ca.pem -subj "/CN=stand-in internet"
"""
CERTIFICATE = """\
set -eu
cd "$1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$2.key" \\
  -out "$2.pem" -subj "/CN=$2" -CA ca.pem -CAkey ca.key -days 2 \\
  -addext basicConstraints=CA:false -addext "subjectAltName=DNS:$2" \\
  -addext extendedKeyUsage=serverAuth
"""
# Only `openssl ca` can set a period in the past.
EXPIRED = """\
set -eu
cd "$1"
cp "$2.key" expired.key
printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=database\\nserial=serial\\nnew_certs_dir=.\\n\
default_md=sha256\\npolicy=any\\n[any]\\ncommonName=optional\\n' > ca.cnf
printf 'basicConstraints=CA:false\\nsubjectAltName=DNS:%s\\n' "$2" > extensions
: > database
echo 01 > serial
openssl req -new -key expired.key -subj "/CN=$2" -out expired.csr
openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in expired.csr -out expired.pem \\
  -notext -startdate 20200101000000Z -enddate 20210101000000Z -extfile extensions
"""


def certificates(folder: Path, names: Sequence[str], expired: str) -> Path:
    """Make a CA, ca.pem, and NAME.pem with NAME.key for each host; return the folder.

    expired.pem is that of one host, and expired.
    """
    folder.mkdir()
    _shell(AUTHORITY, folder)
    for name in names:
        _shell(CERTIFICATE, folder, name)
    _shell(EXPIRED, folder, expired)
    return folder


def _shell(script: str, *arguments: str | Path) -> None:
    command = ["sh", "-c", script, "sh", *map(str, arguments)]
    subprocess.run(command, capture_output=True, check=True)


@dataclass(frozen=True)
class Signer:
    """A key of GnuPG, which is in a root filesystem with its key, in a folder of the key's name."""

    root: Path
    name: str

    @property
    def public(self) -> Path:
        """The key that verifies, in text."""
        return self.root / self.name / "public.asc"

    @property
    def keyring(self) -> Path:
        """The key that verifies, as a keyring."""
        return self.root / self.name / "public.gpg"

    def sign(self, file: Path, target: Path, option: str) -> None:
        """Sign a file; the option is --clearsign or --detach-sign."""
        target.write_bytes(self._gpg("--armor", option, data=file.read_bytes()))

    def _gpg(self, *words: str, data: bytes = b"") -> bytes:
        command = ["chroot", str(self.root), "gpg", "--homedir", f"/{self.name}"]
        command += ["--batch", "--quiet", "--passphrase", "", *words]
        return subprocess.run(command, input=data, capture_output=True, check=True).stdout

    @classmethod
    def make(cls, root: Path, name: str) -> "Signer":
        """Make a new key."""
        (root / name).mkdir(mode=0o700)
        signer = cls(root, name)
        identity = f"{name} <{name}@stand-in.example>"
        signer._gpg("--quick-generate-key", identity, "ed25519", "sign", "never")
        signer.public.write_bytes(signer._gpg("--armor", "--export"))
        signer.keyring.write_bytes(signer._gpg("--export"))
        return signer


def unpack(packages: Sequence[Path], root: Path) -> Path:
    """Unpack GnuPG and what it depends on into a root filesystem, and return that."""
    for file in packages:
        subprocess.run(["dpkg-deb", "--extract", str(file), str(root)], check=True)
    (root / "dev").mkdir(exist_ok=True)
    os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    return root
