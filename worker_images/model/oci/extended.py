"""Headers of a tar that extend the one of the next member: of PAX, or GNU's long names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from worker_images.model.oci.image import ImageError
from worker_images.untrusted import printable

PAX, LONG_NAME, LONG_LINK = b"x", b"L", b"K"
ATTRIBUTE = "SCHILY.xattr."
FIELDS = {"path", "linkpath", "size", "mtime", "atime", "ctime", "uid", "gid", "uname", "gname"}
LENGTH = re.compile(rb"[1-9][0-9]{0,6} ")


@dataclass(frozen=True)
class Extended:
    """The fields of the extended headers before a member, and the kinds of these headers."""

    fields: Mapping[str, str]
    kinds: frozenset[bytes] = frozenset()

    def with_header(self, kind: bytes, data: bytes) -> "Extended":
        """The fields with those of one more header; raises ImageError."""
        if kind in self.kinds or (self.kinds and PAX in {kind, *self.kinds}):
            raise ImageError("two extended headers for one member")
        fields = _pax(data) if kind == PAX else _long_name(kind, data)
        # Go ignores an empty value, and takes that of the member's own header.
        for key in ("path", "linkpath"):
            if fields.get(key) == "":
                raise ImageError(f"an extended header with an empty {key}")
        return Extended({**self.fields, **fields}, self.kinds | {kind})


def _long_name(kind: bytes, data: bytes) -> dict[str, str]:
    key = "path" if kind == LONG_NAME else "linkpath"
    text = data.removesuffix(b"\0")
    if b"\0" in text:
        raise ImageError("a long name with bytes after its end")
    return {key: text.decode(errors="surrogateescape")}


def _pax(data: bytes) -> dict[str, str]:
    """The records of a PAX header: a length, a space, KEY=VALUE and a newline."""
    fields: dict[str, str] = {}
    begin = 0
    while begin < len(data):
        length = LENGTH.match(data, begin)
        end = begin + int(length[0]) if length else begin
        text = data[length.end() : end - 1] if length else b""
        key, found, value = text.partition(b"=")
        if not found or data[end - 1 : end] != b"\n":
            raise ImageError("an extended header that is not valid")
        begin = end
        name = key.decode(errors="replace")
        if name not in FIELDS and not name.startswith(ATTRIBUTE):
            raise ImageError(
                f"an extended header {printable(name)!r}; engines may read another path"
            )
        if name in fields or (b"\0" in value and name in FIELDS):
            raise ImageError(f"an extended header with an ambiguous {printable(name)}")
        fields[name] = value.decode(errors="surrogateescape")
    return fields
