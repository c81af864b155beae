"""gVisor's bucket, from the runsc that the source packages builds."""

import bz2
import hashlib
import io
import re
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

from worker_images.model.oci import inflate

# A release with a single file, and one that publishes archives only.
HELPERS = (
    "checkpointgofer",
    "gvisor_sentry",
    "gvisor-sentry-prewarmer",
    "runsc-fd-parking",
    "runsc-metric-server",
)
# The text that `runsc --version` prints, in a build of a commit after a release.
VERSION = re.compile(rb"release-[0-9]{8}\.[0-9]+-[0-9]+-g[0-9a-f]{9}")
# A segment of a 64-bit ELF file: type, flags, offset, address, physical address, size.
SEGMENT = struct.Struct("<IIQQQQ")


def publish_file(bucket: Path, release: str, runsc: bytes) -> str:
    """Add a release with a single file to the bucket; return its SHA-512."""
    return _publish(bucket, release, "runsc", of_release(runsc, release))


def publish_archive(bucket: Path, release: str, runsc: bytes, helper: bytes) -> str:
    """Add a release with archives to the bucket; return the SHA-512 of one.

    The helper stands in for the real helper programs.
    """
    names = {f"gvisor-bin/{name}": helper for name in HELPERS}
    tar = _tar({"runsc": of_release(runsc, release), "containerd-shim-runsc-v1": helper, **names})
    _publish(bucket, release, "gvisor.tar.zstd", inflate.zstandard().compress(tar, 1))
    return _publish(bucket, release, "gvisor.tar.bz2", bz2.compress(tar, 1))


def _publish(bucket: Path, release: str, name: str, content: bytes) -> str:
    folder = bucket / f"gvisor/releases/release/{release}/x86_64"
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha512(content).hexdigest()
    (folder / name).write_bytes(content)
    (folder / f"{name}.sha512").write_text(f"{digest}  {name}\n")
    return digest


def of_release(runsc: bytes, release: str) -> bytes:
    """The program with the version text of a release.

    A release is built from a tag, whose text is shorter; Go keeps the length beside the address.
    """
    found = VERSION.search(runsc)
    assert found, "this runsc reports no commit after a release"
    text = f"release-{release}".encode()
    old = struct.pack("<QQ", _address(runsc, found.start()), len(found[0]))
    new = old[:8] + struct.pack("<Q", len(text))
    assert runsc.count(old) == 1
    changed = bytearray(runsc.replace(old, new))
    changed[found.start() : found.start() + len(text)] = text
    return bytes(changed)


def _address(program: bytes, offset: int) -> int:
    """The address at which a part of an ELF file is loaded."""
    (table,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    for number in range(count):
        kind, _, begin, address, _, length = SEGMENT.unpack_from(program, table + number * size)
        if kind == 1 and begin <= offset < begin + length:
            return int(address + offset - begin)
    raise AssertionError("the text is not in a segment that is loaded")


def _tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
