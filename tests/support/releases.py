"""Records of two releases."""

from dataclasses import replace

from worker_images.release.record import Component, Layer, Package, Platform, Released

BASE = Component("base", "trixie", "several", 79_000_000)
GVISOR = Component("gvisor", "20260622.0-46-g879cb2dc2", "Apache-2.0", 43_000_000)
RUNC = Component("runc", "1.5.2", "Apache-2.0", 12_300_000)
CRIU = Component("criu", "4.1.1", "GPL-2.0-only", 9_000_000)
PACKAGES = (
    Package("base-files", "13.8+deb13u8"),
    Package("libkrb5-3", "1.21.3-5+deb13u2", security=True),
    Package("tini", "0.19.0-3"),
)
IMAGE = Layer("image", 79, 0, {"the kernel forbids user namespaces": 1})
POD = Layer("pod", 0, 0, {}, "no tests/pod exists")
WORKLOAD = Layer("workload", 12, 0, {"no NVIDIA driver | on <this> machine": 25, "no torch": 1})
SLIM = Platform(
    "slim",
    "amd64",
    f"sha256:{'1' * 64}",
    f"sha256:{'2' * 64}",
    42_757_328,
    (BASE, GVISOR),
    ("535.129.03", "570.86.15", "580.159.04"),
    PACKAGES,
    (IMAGE, POD, WORKLOAD),
    ("the runsc binary that gVisor publishes",),
    zstd=34_900_000,
)
FULL = replace(
    SLIM,
    variant="full",
    image_id=f"sha256:{'3' * 64}",
    manifest_digest=f"sha256:{'4' * 64}",
    components=(*SLIM.components, RUNC, CRIU),
    packages=(*PACKAGES, Package("criu", "4.1.1-1")),
    tests=(IMAGE, POD, Layer("workload", 0, 0, {}, "no results were passed with --results")),
    zstd=0,
)
BEFORE = (BASE, replace(GVISOR, version="20260518.0"))
NEW = Released(
    "registry.example:5000/team/worker",
    "2026.11.2",
    "72d7582",
    "2026-11-25T00:21:46Z",
    {"slim": f"sha256:{'5' * 64}", "full": f"sha256:{'6' * 64}"},
    (SLIM, FULL),
    "--key cosign.pub",
)
OLD = Released(
    NEW.name,
    "2026.11.1",
    "8db6641",
    "2026-11-01T00:00:00Z",
    {"slim": f"sha256:{'7' * 64}"},
    (
        replace(
            SLIM,
            components=BEFORE,
            drivers=("530.30.02", "535.129.03", "580.159.04"),
            packages=(
                Package("base-files", "13.8+deb13u7"),
                Package("libkrb5-3", "1.21.3-5"),
                Package("mawk", "1.3.4-1"),
                PACKAGES[2],
            ),
        ),
        replace(SLIM, architecture="arm64", components=BEFORE),
    ),
    "--key cosign.pub",
)
