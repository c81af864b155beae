"""A private CA with a certificate for each host, and keys that sign apt archives; made anew."""

import os
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
    """A key of GnuPG, in a folder of its own."""

    folder: Path

    @property
    def public(self) -> Path:
        """The key that verifies, in text."""
        return self.folder / "public.asc"

    @property
    def keyring(self) -> Path:
        """The key that verifies, as a keyring."""
        return self.folder / "public.gpg"

    def sign(self, file: Path, target: Path, option: str) -> None:
        """Sign a file; the option is --clearsign or --detach-sign."""
        self._gpg("--yes", "--armor", "--output", str(target), option, str(file))

    def _gpg(self, *words: str) -> bytes:
        command = ["gpg", "--batch", "--quiet", "--passphrase", "", *words]
        environment = {**os.environ, "GNUPGHOME": str(self.folder)}
        return subprocess.run(command, env=environment, capture_output=True, check=True).stdout

    @classmethod
    def make(cls, folder: Path) -> "Signer":
        """Make a new key."""
        folder.mkdir(mode=0o700, parents=True)
        signer = cls(folder)
        identity = f"{folder.name} <{folder.name}@stand-in.example>"
        signer._gpg("--quick-generate-key", identity, "ed25519", "sign", "never")
        signer.public.write_bytes(signer._gpg("--armor", "--export"))
        signer.keyring.write_bytes(signer._gpg("--export"))
        return signer
