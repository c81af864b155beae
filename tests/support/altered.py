"""Copies of an image archive with one alteration, and digests that are true again."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.archives import blob, descriptor, digest, pack

Json = dict[str, Any]


@dataclass
class Archive:
    """The parts of an OCI archive, which a test may change before it is written."""

    config: Json
    manifest: Json
    index: Json
    layers: list[bytes]
    # Files that are added as they are, and keys that are added to the text of a document.
    files: dict[str, bytes] = field(default_factory=dict)
    texts: dict[str, Callable[[str], str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> "Archive":
        """Read an archive that a build has written."""
        with tarfile.open(path) as tar:
            files = {
                member.name: stream.read() for member in tar if (stream := tar.extractfile(member))
            }
        index = json.loads(files["index.json"])
        manifest = json.loads(files[_name(index["manifests"][0])])
        config = json.loads(files[_name(manifest["config"])])
        return cls(config, manifest, index, [files[_name(each)] for each in manifest["layers"]])

    def write(self, path: Path) -> Path:
        """Write the archive; names and sizes of blobs follow their bytes."""
        config = self._text("config", self.config)
        self.manifest["config"] |= {"digest": digest(config), "size": len(config)}
        for entry, data in zip(self.manifest["layers"], self.layers, strict=True):
            entry |= {"digest": digest(data), "size": len(data)}
        manifest = self._text("manifest", self.manifest)
        self.index["manifests"][0] |= {"digest": digest(manifest), "size": len(manifest)}
        blobs = {blob(data): data for data in (config, manifest, *self.layers)}
        layout = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
        index = {"index.json": self._text("index", self.index)}
        return pack(path, blobs | layout | index | self.files)

    def _text(self, name: str, value: Json) -> bytes:
        text = json.dumps(value)
        return self.texts.get(name, str)(text).encode()

    def replace_layer(self, number: int, tar: bytes) -> None:
        """Replace a layer, and its diffID in the configuration."""
        self.layers[number] = gzip.compress(tar, 1, mtime=0)
        self.config["rootfs"]["diff_ids"][number] = digest(tar)

    def edit_layer(self, number: int, edit: Callable[["Members"], None]) -> None:
        """Edit the members of a layer."""
        members = Members(gzip.decompress(self.layers[number]))
        edit(members)
        self.replace_layer(number, members.tar())

    def add_layer(self, tar: bytes) -> None:
        """Add a layer at the end."""
        self.manifest["layers"].append(descriptor("layer", b""))
        self.layers.append(b"")
        self.config["rootfs"]["diff_ids"].append("")
        self.replace_layer(len(self.layers) - 1, tar)

    def add_image(self, other: "Archive") -> None:
        """Add an image for another platform to the index."""
        config, manifest = json.dumps(other.config).encode(), json.dumps(other.manifest).encode()
        for data in (config, manifest, *other.layers):
            self.files[blob(data)] = data
        platform = {"architecture": "arm64", "os": "linux"}
        self.index["manifests"].append(descriptor("manifest", manifest) | {"platform": platform})


class Members:
    """The members of a layer, in order, with their contents."""

    def __init__(self, data: bytes) -> None:
        with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
            self.rows = [(info, self._content(tar, info)) for info in tar]

    @staticmethod
    def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
        stream = tar.extractfile(info) if info.isreg() else None
        return stream.read() if stream else b""

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        return (info for info, _ in self.rows)

    def info(self, name: str) -> tarfile.TarInfo:
        """The header of a member."""
        return next(info for info in self if info.name == name)

    def edit(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change the contents of a file."""
        position = next(number for number, (info, _) in enumerate(self.rows) if info.name == name)
        info, data = self.rows[position]
        changed = change(data)
        assert changed != data, name
        info.size = len(changed)
        self.rows[position] = (info, changed)

    def remove(self, name: str) -> None:
        """Remove a member and all that is below it."""
        kept = [row for row in self.rows if not f"{row[0].name}/".startswith(f"{name}/")]
        assert len(kept) < len(self.rows), name
        self.rows = kept

    def tar(self) -> bytes:
        """The layer, in the form that BuildKit writes."""
        buffer = io.BytesIO()
        with tarfile.open(
            fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, encoding="utf-8"
        ) as tar:
            for info, data in self.rows:
                tar.addfile(info, io.BytesIO(data))
        return buffer.getvalue()


def with_two_headers(tar: bytes, name: str) -> bytes:
    """The layer, with two extended headers before a member: Python takes the first, Go the last."""
    with tarfile.open(fileobj=io.BytesIO(tar), encoding="utf-8") as layer:
        offset = layer.getmember(name).offset
    info = tarfile.TarInfo(name)
    parts = b""
    for value in ("first", "last"):
        info.pax_headers = {"SCHILY.xattr.security.capability": value}
        parts += info.tobuf(tarfile.PAX_FORMAT)[:-512]
    return tar[:offset] + parts + tar[offset:]


def _name(entry: Json) -> str:
    return f"blobs/sha256/{entry['digest'][7:]}"
