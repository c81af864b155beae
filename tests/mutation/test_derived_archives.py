"""Does each danger in a derived image fail the rule that forbids it?

One image contains many dangers; the report of each rule must name its own.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import image_tests
from tests.support.derived_images import (
    Settings,
    append,
    derive,
    member,
    script,
)
from tests.support.elf_files import library
from tests.support.members import CAPABILITY, Member, file, other
from worker_images.harness.dangers import RULES

DERIVED = ("--mode", "derived")
RULE = "test_derived::test_later_layers_keep_the_rule[{}]"
ORIGIN = "test_derived::test_first_layers_are_those_of_a_worker_image"
CERTIFICATES = "test_contract::test_ca_bundle_contains_certificates"
RUNC, CRIU, CUDA = 2, 3, 5
RUNSC = "usr/local/bin/runsc"
CONFIGURATION = "nvidia-container-runtime/config.toml"


def runc() -> bytes:
    return member("full", RUNC, "usr/local/sbin/runc")


def unmarked_runc() -> bytes:
    """A runc without Go's build information."""
    return runc().replace(b"\xff Go buildinf:", bytes(14))


def other_cache() -> bytes:
    """A loader's cache that has another path for a library, and one for the node's driver."""
    before, after = b"/lib/x86_64-linux-gnu/libmnl", b"/opt/1234567890123456/libmnl"
    data = member("full", CUDA, "etc/ld.so.cache")
    assert before in data
    return data.replace(before, after).replace(b"libutil.so.1\0", b"libcuda.so.1\0")


NONE = Settings()


@dataclass(frozen=True)
class Dangerous:
    """A derived image, and what its failed checks must report, by rule or check."""

    variant: str
    members: Callable[[], Sequence[Member]]
    expected: dict[str, tuple[str, ...]]
    settings: Settings = NONE


DANGEROUS = {
    "files": Dangerous(
        "slim",
        lambda: [
            file("opt/shell", b"x", 0o4755),
            file("opt/group", b"x", 0o2755),
            file("opt/ping", b"x", 0o755, CAPABILITY),
            other("device", "dev/kmem"),
            append("etc/passwd", "toor::0:0::/root:/bin/sh\n"),
            append("etc/shadow", "toor::19000:0:99999:7:::\nuser:$6$a$b:1::::::\n", 0o640),
            file("etc/ld.so.preload", "/opt/x.so\n"),
            file("opt/driver/x.so", library((), soname="libcuda.so.1")),
            file("opt/tools/container", unmarked_runc(), 0o755),
            file("opt/tools/snapshot", member("full", CRIU, "usr/sbin/criu"), 0o755),
            script("opt/tools/nvidia-ctk", ""),
            file("etc/ssl/certs/own.pem", "x"),
            file("etc/cdi/nvidia.yaml", "x"),
        ],
        {
            "setuid": ("/opt/shell: mode 4755", "/opt/group: mode 2755"),
            "attribute": ("/opt/ping: has security.capability",),
            "device": ("/dev/kmem",),
            "account": (
                "/etc/passwd: 'toor' has an empty password",
                "/etc/passwd: 'toor' has the user ID",
                "/etc/shadow: 'toor' has an empty password",
                "/etc/shadow: 'user' has a password hash",
            ),
            "loader": ("/etc/ld.so.preload",),
            "libcuda": ("/opt/driver/x.so: a library libcuda.so.1",),
            "program": (
                "/opt/tools/container: has the contents of a program of runc",
                "/opt/tools/snapshot: has the contents of a program of criu",
                "/opt/tools/nvidia-ctk: has the name of a program of nvidia-container-toolkit",
            ),
            "certificates": ("/etc/ssl/certs/own.pem",),
            "toolkit": ("/etc/cdi/nvidia.yaml",),
        },
    ),
    "replaced": Dangerous(
        "slim",
        lambda: [
            script(RUNSC, "runsc version release-20260622.0"),
            script("usr/sbin/xtables-nft-multi", "iptables v1.8.11 (nf_tables)"),
            script("usr/bin/ip", "ip utility, iproute2-6.15.0"),
            script("usr/bin/mount", "mount from util-linux 2.41"),
            script("usr/bin/tini", "tini version 0.19.0"),
            script("usr/local/sbin/umount", ""),
            file("usr/share/.wh.doc"),
            file("etc/ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE x\n" * 120),
        ],
        {
            "replaced": (
                f"/{RUNSC}: its contents differ",
                "/usr/sbin/xtables-nft-multi: its contents differ",
                "/usr/bin/ip: its contents differ",
                "/usr/bin/mount: its contents differ",
                "/usr/bin/tini: its contents differ",
                "/usr/share/doc: removes ",
            ),
            "path": ("/usr/local/sbin/umount: PATH finds it as umount",),
            "certificates": ("/etc/ssl/certs/ca-certificates.crt: its contents differ",),
            CERTIFICATES: ("not certificates",),
        },
    ),
    "settings": Dangerous(
        "slim",
        list,
        {
            "loader": ("ENV LD_LIBRARY_PATH", "ENV GLIBC_TUNABLES", "ENV GODEBUG: set to 'x'"),
            "nvidia": (
                "ENV NVIDIA_VISIBLE_DEVICES: 'all', want not set",
                "ENV CUDA_VERSION: '12.8', want not set; nvidia-container-runtime gives all GPUs",
            ),
            "path": ("ENV PATH: has entries that are not absolute: ['']", "does not find"),
            "certificates": ("ENV SSL_CERT_FILE: set to '/opt/ca.pem'",),
            "label": (
                "LABEL worker.variant: 'full', want 'slim'",
                "LABEL worker.source: not set, want 'packages'",
                "LABEL worker.extra: 'x', want not set",
            ),
        },
        Settings(
            (
                "LD_LIBRARY_PATH=/opt",
                "GLIBC_TUNABLES=x",
                "GODEBUG=x",
                "CUDA_VERSION=12.8",
                "NVIDIA_VISIBLE_DEVICES=all",
                "PATH=/usr/local/bin:",
                "SSL_CERT_FILE=/opt/ca.pem",
            ),
            {"worker.variant": "full", "worker.extra": "x", "worker.source": None},
        ),
    ),
    "full": Dangerous(
        "full",
        lambda: [
            file(f"etc/{CONFIGURATION}", "x"),
            file(f"root/.config/{CONFIGURATION}", "x"),
            file("opt/second/runtime", runc(), 0o755),
            file("etc/ld.so.cache", other_cache()),
        ],
        {
            "nvidia": (
                "ENV NVIDIA_VISIBLE_DEVICES: 'all' and 'void', want 'all'",
                "ENV NVIDIA_DRIVER_CAPABILITIES: 'all' and 'compute,utility'",
                "ENV CUDA_VERSION: '12.8', want not set; nvidia-container-runtime gives all GPUs",
            ),
            "loader": (
                "ENV LD_PRELOAD: set to '/opt/x.so'",
                "libmnl.so.0 is /opt/123456789",
                "libcuda.so.1 is /lib/",
            ),
            "toolkit": (
                f"/etc/{CONFIGURATION}: its contents differ",
                f"/root/.config/{CONFIGURATION}: configures programs",
            ),
            "program": ("/opt/second/runtime: has the contents of a program of runc",),
        },
        Settings(
            (
                "NVIDIA_VISIBLE_DEVICES=void",
                "NVIDIA_DRIVER_CAPABILITIES=all",
                "CUDA_VERSION=12.8",
                "LD_PRELOAD=/opt/x.so",
            )
        ),
    ),
}
EXPECTED = [
    (name, rule, text)
    for name, image in DANGEROUS.items()
    for rule, texts in image.expected.items()
    for text in texts
]


def check_of(rule: str) -> str:
    """The check that a rule is, or the named one."""
    return rule if "::" in rule else RULE.format(rule)


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Future[dict[str, str]]]]:
    """The results of each dangerous image; several run at once."""
    scratch = tmp_path_factory.mktemp("derived")
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield {
            name: pool.submit(_tested, image, scratch / f"{name}.tar")
            for name, image in DANGEROUS.items()
        }


def _tested(image: Dangerous, path: Path) -> dict[str, str]:
    derive(image.variant, image.members(), image.settings).write(path)
    checks = {ORIGIN, *map(check_of, (*image.expected, *RULES))}
    found = image_tests.failures(image.variant, path, sorted(checks), *DERIVED)
    path.unlink()
    return found


@pytest.mark.parametrize(("name", "rule", "text"), EXPECTED)
def test_danger_in_a_derived_image_is_named_by_its_rule(
    name: str, rule: str, text: str, outcomes: dict[str, Future[dict[str, str]]]
) -> None:
    assert text in outcomes[name].result()[check_of(rule)]


@pytest.mark.parametrize("name", DANGEROUS)
def test_other_rules_of_a_dangerous_image_pass(
    name: str, outcomes: dict[str, Future[dict[str, str]]]
) -> None:
    expected = {check_of(rule) for rule in DANGEROUS[name].expected}
    assert set(outcomes[name].result()) == expected


def test_every_rule_is_broken_by_an_image() -> None:
    assert {rule for image in DANGEROUS.values() for rule in image.expected} == {
        *RULES,
        CERTIFICATES,
    }
