"""Archives of derived images for tests: a built image with one more layer and other settings."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.altered import Archive
from tests.support.archives import digest, pack
from tests.support.members import Member, file, layer
from worker_images.files import ROOT


@dataclass(frozen=True)
class Settings:
    """Variables that are added, labels that are set or removed (None), and other settings."""

    environment: Sequence[str] = ()
    labels: Mapping[str, str | None] = field(default_factory=dict)
    others: Mapping[str, object] = field(default_factory=dict)


def archive_of(variant: str) -> Path:
    """The archive of a built image."""
    return ROOT / "out" / variant / "image.tar"


def member(variant: str, number: int, name: str) -> bytes:
    """A file in a layer of a built image."""
    data = gzip.decompress(Archive.read(archive_of(variant)).layers[number])
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8") as tar:
        stream = tar.extractfile(name)
        assert stream
        return stream.read()


def append(name: str, text: str, mode: int = 0o644) -> Member:
    """A file of the base with more lines."""
    return file(name, member("slim", 0, name) + text.encode(), mode)


def script(name: str, output: str) -> Member:
    """A program that only prints a line."""
    return file(name, f"#!/bin/sh\necho '{output}'\n", 0o755)


def derive(variant: str, members: Sequence[Member], settings: Settings) -> Archive:
    """A built image with one more layer and other settings."""
    archive = Archive.read(archive_of(variant))
    if members:
        archive.add_layer(layer(members))
    config = archive.config["config"]
    config["Env"] += settings.environment
    for name, value in settings.labels.items():
        if value is None:
            del config["Labels"][name]
        else:
            config["Labels"][name] = value
    config |= settings.others
    return archive


def write_saved(archive: Archive, path: Path) -> Path:
    """Write an archive as docker before version 25, kaniko and Bazel do: without index.json."""
    config = json.dumps(archive.config).encode()
    layers = {
        f"{number}/layer.tar": gzip.decompress(data) for number, data in enumerate(archive.layers)
    }
    name = f"{digest(config)[7:]}.json"
    saved = [{"Config": name, "RepoTags": ["derived:latest"], "Layers": [*layers]}]
    return pack(path, {name: config, **layers, "manifest.json": json.dumps(saved).encode()})
