"""What a rule for derived images finds in a small image."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.archives import write
from tests.support.members import Member, file, layer
from worker_images.harness import changes, programs
from worker_images.harness.dangers import RULES
from worker_images.harness.derived import Derivation, Promise
from worker_images.harness.programs import Mark
from worker_images.harness.updates import Updates
from worker_images.model.oci import archive

ACCOUNTS = "root:*:0:0:root:/root:/bin/sh\n"
SHADOW = "root:*:1::::::\nown:$5$own$hash:1::::::\n"
BASE = [
    file("etc/passwd", ACCOUNTS),
    file("etc/shadow", SHADOW),
    file("usr/bin/tool", "x", 0o755),
    file("usr/bin/more", "x", 0o755),
    file("usr/lib/libx.so.1", "x"),
    file("usr/share/ca.crt", "x"),
]
PROMISE = Promise(
    environment={"PATH": "/usr/local/bin:/usr/bin", "NVIDIA_VISIBLE_DEVICES": "all"},
    labels={"worker.variant": "slim", "worker.source": "packages"},
    paths=frozenset({"/usr/bin/tool"}),
    traces={"runc": ("*/runc", "*/runc-*"), "cuda": ("*/libcudart.so*",)},
)
MARKS = {"runc": [programs.go_main("a.example/runc"), Mark(b"usage of runc")]}
PATH = "/usr/local/bin:/usr/bin"
ENVIRONMENT = (f"PATH={PATH}", "NVIDIA_VISIBLE_DEVICES=all")


def faults(
    rule: str,
    folder: Path,
    members: Sequence[Member] = (),
    environment: Sequence[str] = ENVIRONMENT,
    labels: dict[str, str] | None = None,
) -> list[str]:
    """What a rule finds in an image with one layer over the base."""
    path = write(folder / "image.tar", [layer(BASE), layer(members)])
    found = archive.load(path, folder)
    settings = {"Env": list(environment), "Labels": labels}
    config = dict(found.config) | {"config": settings, "architecture": "amd64"}
    found = replace(found, config=config)
    worker = replace(found, layers=found.layers[:1])
    derivation = Derivation(
        found,
        worker,
        PROMISE,
        tuple(changes.changes(found, worker, Updates())),
        tuple(programs.find(found.layers[1:], MARKS)),
    )
    return [str(each) for each in RULES[rule](derivation)]
