"""Layers for tests, member by member, with modes, owners and extended attributes."""

import io
import tarfile
from collections.abc import Iterable

Member = tuple[tarfile.TarInfo, bytes]
TYPES = {
    "folder": tarfile.DIRTYPE,
    "link": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
}
# CAP_NET_RAW, permitted and effective; engines refuse a value that the kernel does not know.
CAPABILITY = {
    "SCHILY.xattr.security.capability": "\x01\0\0\x02\0\x20\0\0" + "\0" * 12,
}


def file(
    name: str,
    content: bytes | str = b"",
    mode: int = 0o644,
    attributes: dict[str, str] | None = None,
) -> Member:
    """A file, with its contents."""
    info = tarfile.TarInfo(name)
    data = content.encode() if isinstance(content, str) else content
    info.size, info.mode, info.pax_headers = len(data), mode, attributes or {}
    return info, data


def other(kind: str, name: str, target: str = "", mode: int = 0o755) -> Member:
    """A folder, a link, a hard link or a device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = TYPES[kind], target, mode
    return info, b""


def owned(member: Member, user: int) -> Member:
    """A member of another user."""
    member[0].uid = user
    return member


def layer(members: Iterable[Member]) -> bytes:
    """The layer as a tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
