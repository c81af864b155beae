"""The linter knows values of flags and annotations that runsc refuses (rule F14)."""

from dataclasses import replace

import pytest

from tests.support.specifications import changed
from worker_images.node.lint.lint import violations
from worker_images.node.lint.request import ROOT, LaunchRequest
from worker_images.node.lint.view import FLAG

TAR = "dev.gvisor.tar.rootfs.upper"
OVERRIDE = ("--allow-flag-override",)
POD = {"io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": "a"}
NAMED = {
    **POD,
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.container-name": "train",
}
BIND = {f"{ROOT}source": "/x", f"{ROOT}type": "bind", f"{ROOT}overlay": "memory"}
# Annotations, flags, and the refusal; empty if runsc accepts them.
ANNOTATIONS: tuple[tuple[dict[str, str], tuple[str, ...], str], ...] = (
    ({f"{FLAG}overlay2": "root:dir=/mnt"}, (), "refuses to set --overlay2=root:dir=/mnt by an"),
    ({f"{FLAG}overlay2": "root:dir=/mnt"}, OVERRIDE, ""),
    ({f"{FLAG}overlay2": "all:memory,size=1g"}, (), ""),
    ({f"{FLAG}oci-seccomp": "false"}, (), "refuses to set --oci-seccomp=false by an annotation"),
    ({f"{FLAG}oci-seccomp": "false"}, OVERRIDE, ""),
    ({f"{FLAG}oci-seccomp": "true"}, (), ""),
    ({f"{FLAG}qdisc": "fifo"}, (), "refuses to set --qdisc=fifo by an annotation"),
    ({f"{FLAG}qdisc-tbf-rate": "1g"}, (), "'1g', but runsc takes a number"),
    ({f"{FLAG}debug": "on"}, (), "'on', but runsc takes true or false"),
    ({f"{FLAG}debug": "on"}, OVERRIDE, "'on', but runsc takes true or false"),
    ({f"{FLAG}strace": "T"}, (), ""),
    ({f"{FLAG}host-uds": "true"}, (), "'true', but runsc takes none, open, create or all"),
    ({f"{FLAG}host-uds": "open"}, (), ""),
    ({**BIND, f"{ROOT}options": "10g"}, (), "'10g' is not size=SIZE"),
    ({**BIND, f"{ROOT}options": "size=10g"}, (), ""),
    ({**BIND, f"{ROOT}size": "10g"}, (), "runsc does not know it"),
    ({**BIND, f"{ROOT}directfs": "false"}, (), "'false', but runsc takes default or off"),
    ({**BIND, f"{ROOT}directfs": "off"}, (), ""),
    ({**POD, TAR: "/x.tar"}, (), ""),
    ({TAR: "/x.tar"}, (), "without --allow-rootfs-tar-annotation"),
    ({TAR: "/x.tar"}, ("--allow-rootfs-tar-annotation",), ""),
    ({**NAMED, TAR: "/x.tar"}, (), ""),
    ({**NAMED, f"{TAR}.train": "/x.tar"}, (), "without --allow-rootfs-tar-annotation"),
    ({**NAMED, f"{TAR}.other": "/x.tar"}, (), ""),
)


@pytest.mark.parametrize(("annotations", "flags", "problem"), ANNOTATIONS)
def test_annotation_is_refused_for_its_value(
    annotations: dict[str, str], flags: tuple[str, ...], problem: str, valid: LaunchRequest
) -> None:
    request = changed(valid, lambda specification: specification.update(annotations=annotations))
    found = violations(replace(request, flags=("--nvproxy", *flags)))
    assert [each.rule for each in found] == (["F14"] if problem else [])
    assert not problem or problem in found[0].problem


def test_tar_file_is_refused_with_a_read_only_root(valid: LaunchRequest) -> None:
    def change(specification: dict[str, object]) -> None:
        specification["root"] = {"path": str(valid.root), "readonly": True}
        specification["annotations"] = {TAR: "/x.tar"}

    flags = ("--allow-rootfs-tar-annotation",)
    (found,) = violations(replace(changed(valid, change), flags=flags))
    assert "refuses it with a read-only root" in found.problem


# Flags, and the pair that runsc refuses.
FLAGS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("--overlay",), "runsc refuses --overlay with --overlay2=root:self"),
    (("--overlay", "--overlay2=none"), ""),
    (("--overlay=false",), ""),
    (("--file-access=shared",), "runsc refuses --file-access=shared with --overlay2=root:self"),
    (("--file-access=shared", "--overlay2=none"), ""),
    (("--file-access=shared", "--overlay2=none", "--overlay"), "shared with --overlay"),
    (("--file-access=exclusive",), ""),
    (("--fsgofer-host-uds", "--host-uds=open"), "--fsgofer-host-uds with --host-uds=open"),
    (("--fsgofer-host-uds",), ""),
)


@pytest.mark.parametrize(("flags", "problem"), FLAGS)
def test_flags_that_exclude_each_other_are_refused(
    flags: tuple[str, ...], problem: str, valid: LaunchRequest
) -> None:
    found = violations(replace(valid, flags=flags))
    assert [(each.rule, each.where) for each in found] == ([("F14", "flags")] if problem else [])
    assert not problem or problem in found[0].problem
