"""Private authorities as Sigstore's: a CA, a log of certificates and a log of signatures.

openssl signs. https://github.com/sigstore/protobuf-specs, RFC 6962 and
https://github.com/transparency-dev/formats define the formats.
"""

import base64
import hashlib
import json
import struct
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from worker_images.release import cosign

IDENTITY, ISSUER = "https://example.org/workflow", "https://issuer.example.org"
KIND = "application/vnd.in-toto+json"
SCTS = "1.3.6.1.4.1.11129.2.4.2"
# What certificates and keys of the tests are valid for, unless a test has another time.
START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
SIGNED = datetime(2026, 1, 1, 12, tzinfo=UTC)
VALID = {"start": "2020-01-01T00:00:00Z"}

KEYS = """\
set -eu
cd "$1"
key="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
for name in ct log; do
  openssl ecparam -name prime256v1 -genkey -noout -out $name.key
  openssl pkey -in $name.key -pubout -outform DER -out $name.der
done
printf '[req]\\ndistinguished_name=name\\n[name]\\n[v3]\\nbasicConstraints=critical,CA:true\\n\
keyUsage=critical,keyCertSign\\nsubjectKeyIdentifier=hash\\n' > ca.cnf
openssl req $key -new -keyout ca.key -out ca.csr -subj /CN=ca -config ca.cnf
openssl req $key -new -keyout leaf.key -out leaf.csr -subj /CN=leaf -config ca.cnf
printf '[ca]\\ndefault_ca=own\\n[own]\\ndatabase=database\\nserial=serial\\nnew_certs_dir=.\\n\
default_md=sha256\\npolicy=any\\nunique_subject=no\\n[any]\\ncommonName=optional\\n' > own.cnf
: > database
echo 01 > serial
openssl ca -batch -config own.cnf -selfsign -keyfile ca.key -in ca.csr -out ca.pem -notext \\
  -startdate 20200101000000Z -enddate 20400101000000Z -extfile ca.cnf -extensions v3
openssl x509 -in ca.pem -outform DER -out certificate.der
openssl pkey -in ca.key -pubout -outform DER -out ca.der
"""
LEAF = """\
set -eu
cd "$1"
echo 02 > serial
: > database
openssl ca -batch -config own.cnf -cert ca.pem -keyfile ca.key -in leaf.csr -out leaf.pem -notext \\
  -startdate "$2" -enddate "$3" -extfile extensions
openssl x509 -in leaf.pem -outform DER -out leaf.der
"""
EXTENSIONS = """\
basicConstraints=critical,CA:false
keyUsage=critical,digitalSignature
extendedKeyUsage=codeSigning
subjectAltName=critical,URI:{identity}
1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:{issuer}
"""


@dataclass(frozen=True)
class Signing:
    """Who signs, when the certificate is valid, and when the log records the signature."""

    identity: str = IDENTITY
    issuer: str = ISSUER
    start: datetime = START
    end: datetime = END
    at: datetime = SIGNED


@dataclass(frozen=True)
class Authorities:
    """The keys, in a folder of `make`."""

    folder: Path

    def bundle(self, statement: bytes, signing: Signing | None = None) -> bytes:
        """Sign a statement as an identity, and record it in the log; return the bundle."""
        signing = signing or Signing()
        certificate = self._certificate(signing)
        signature = self.sign("leaf", f"DSSEv1 {len(KIND)} {KIND} {len(statement)} ", statement)
        envelope = {
            "payload": text(statement),
            "payloadType": KIND,
            "signatures": [{"sig": text(signature)}],
        }
        body = _canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(json.dumps(envelope).encode()),
                    "payloadHash": _hash(statement),
                    "signatures": [
                        {
                            "signature": text(signature),
                            "verifier": text((self.folder / "leaf.pem").read_bytes()),
                        }
                    ],
                },
            }
        )
        material = {
            "certificate": {"rawBytes": text(certificate)},
            "tlogEntries": [self._entry(body, int(signing.at.timestamp()))],
        }
        found = {
            "mediaType": cosign.BUNDLE,
            "verificationMaterial": material,
            "dsseEnvelope": envelope,
        }
        return json.dumps(found).encode()

    def root(self, path: Path) -> Path:
        """Write the trusted root; return the path."""
        found = {
            **cosign.NO_AUTHORITIES,
            "tlogs": [self._log("log")],
            "ctlogs": [self._log("ct")],
            "certificateAuthorities": [
                {
                    "uri": "https://ca.example.org",
                    "certChain": {"certificates": [{"rawBytes": self._raw("certificate")}]},
                    "validFor": VALID,
                }
            ],
        }
        path.write_text(json.dumps(found))
        return path

    def sign(self, key: str, *data: bytes | str) -> bytes:
        """The signature of data."""
        joined = b"".join(each.encode() if isinstance(each, str) else each for each in data)
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.folder / f"{key}.key")]
        return subprocess.run(command, input=joined, capture_output=True, check=True).stdout

    def _certificate(self, signing: Signing) -> bytes:
        """A certificate that holds the receipt of the certificates' log."""
        extensions = EXTENSIONS.format(identity=signing.identity, issuer=signing.issuer)
        plain = self._issued(signing, extensions)
        receipt = self._receipt(_signed_part(plain), signing.start)
        listed = _sized(_sized(receipt))
        # An OCTET STRING of up to 127, or of up to 255 bytes.
        size = bytes([len(listed)]) if len(listed) < 128 else bytes([0x81, len(listed)])
        value = (b"\x04" + size + listed).hex()
        return self._issued(signing, f"{extensions}{SCTS}=DER:{value}\n")

    def _issued(self, signing: Signing, extensions: str) -> bytes:
        (self.folder / "extensions").write_text(extensions)
        times = [each.strftime("%Y%m%d%H%M%SZ") for each in (signing.start, signing.end)]
        _run(LEAF, self.folder, *times)
        return (self.folder / "leaf.der").read_bytes()

    def _receipt(self, signed_part: bytes, at: datetime) -> bytes:
        """The signed certificate timestamp of RFC 6962."""
        time = struct.pack(">Q", int(at.timestamp() * 1000))
        issuer = hashlib.sha256((self.folder / "ca.der").read_bytes()).digest()
        size = len(signed_part).to_bytes(3, "big")
        entry = b"\x00\x01" + issuer + size + signed_part + b"\x00\x00"
        signature = self.sign("ct", b"\x00\x00", time, entry)
        return b"\x00" + self._id("ct") + time + b"\x00\x00" + b"\x04\x03" + _sized(signature)

    def _entry(self, body: bytes, at: int) -> dict[str, object]:
        """The entry of a log that has one, with the log's promise and proof."""
        name = self._id("log")
        promised = {"body": text(body), "integratedTime": at, "logID": name.hex(), "logIndex": 1}
        root = hashlib.sha256(b"\x00" + body).digest()
        note = f"log.example.org\n1\n{text(root)}\n"
        signature = text(name[:4] + self.sign("log", note))
        return {
            "logIndex": "1",
            "logId": {"keyId": text(name)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {
                "signedEntryTimestamp": text(self.sign("log", _canonical(promised)))
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": text(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\u2014 log.example.org {signature}\n"},
            },
            "canonicalizedBody": text(body),
        }

    def _log(self, key: str) -> dict[str, object]:
        public = {
            "rawBytes": self._raw(key),
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "validFor": VALID,
        }
        return {
            "baseUrl": f"https://{key}.example.org",
            "hashAlgorithm": "SHA2_256",
            "publicKey": public,
            "logId": {"keyId": text(self._id(key))},
        }

    def _id(self, key: str) -> bytes:
        return hashlib.sha256((self.folder / f"{key}.der").read_bytes()).digest()

    def _raw(self, name: str) -> str:
        return text((self.folder / f"{name}.der").read_bytes())


def make(folder: Path) -> Authorities:
    """Make the keys in a new folder."""
    folder.mkdir()
    _run(KEYS, folder)
    return Authorities(folder)


def text(data: bytes) -> str:
    """Base64."""
    return base64.b64encode(data).decode()


def _run(script: str, *words: str | Path) -> None:
    command = ["sh", "-c", script, "sh", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _signed_part(certificate: bytes) -> bytes:
    """The part of a certificate that its issuer signs: the first member of a sequence."""
    start = 4
    assert certificate[:2] == certificate[start : start + 2] == b"\x30\x82"
    size = int.from_bytes(certificate[start + 2 : start + 4], "big")
    return certificate[start : start + 4 + size]
