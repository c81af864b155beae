"""The linter finds what runsc refuses in a specification (rule F14)."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.specifications import (
    Change,
    add_hook,
    add_mount,
    changed,
)
from worker_images import files
from worker_images.node.lint.lint import violations
from worker_images.node.lint.request import ROOT, LaunchRequest


def annotated(prefix: str, **values: str) -> Change:
    found = {f"{prefix}{name}": value for name, value in values.items()}
    return lambda specification: specification.update(annotations=found)


REFUSED: tuple[tuple[str, Change], ...] = (
    ("/none does not exist, with which runsc ends with EOF", add_mount("/none")),
    (
        "runsc refuses the option rshared",
        add_mount("/usr", options=["rbind", "rshared"]),
    ),
    ("x is not an absolute path", add_mount("/usr", destination="x")),
    ("no command", lambda specification: specification["process"].update(args=[])),
    ("no root", lambda specification: specification.pop("root")),
    (
        "does not support SELinux",
        lambda specification: specification["process"].update(selinuxLabel="system_u:object_r:x"),
    ),
    (
        "refuses to set --nvproxy by an annotation",
        lambda specification: specification.update(annotations={"dev.gvisor.flag.nvproxy": "true"}),
    ),
    (
        "'yes', but runsc takes only true",
        lambda specification: specification.update(annotations={"dev.gvisor.bundle.x": "yes"}),
    ),
    (
        "--overlay2=memory is not none or MOUNTS:MEDIUM",
        lambda specification: specification.update(
            annotations={"dev.gvisor.flag.overlay2": "memory"}
        ),
    ),
    (
        "a bind mount at /x without a source",
        lambda specification: specification["mounts"].append({"destination": "/x", "type": "bind"}),
    ),
    ("/none/true does not exist", add_hook("createContainer", "/none/true")),
    ("a bind mount at /, with which", add_mount("/usr", destination="//")),
    (
        "shared, which runsc refuses",
        lambda specification: specification["linux"].update(rootfsPropagation="shared"),
    ),
    ("runsc refuses it without dev.gvisor.spec.rootfs.source", annotated(ROOT, overlay="")),
    (
        "'none' is not a medium of an overlay",
        annotated(ROOT, source="/x", type="bind", overlay="none"),
    ),
    ("without --allow-rootfs-tar-annotation", annotated("dev.gvisor.tar.rootfs.", upper="/x")),
    (
        "'pod', but runsc takes sandbox or container",
        annotated("io.kubernetes.cri-o.", ContainerType="pod"),
    ),
    (
        "a container without the annotation io.kubernetes.cri.sandbox-id",
        annotated("io.kubernetes.cri.", **{"container-type": "container"}),
    ),
    ("'bin/true' is not an absolute path", add_hook("prestart", "bin/true")),
    ("'nvidia-ctk' is not an absolute path", add_hook("createRuntime", "nvidia-ctk")),
    ("no working folder", lambda specification: specification["process"].pop("cwd")),
    (
        "'workspace' is not an absolute path",
        lambda specification: specification["process"].update(cwd="workspace"),
    ),
    (
        "runsc does not know RLIMIT_MEMLOCKED",
        lambda specification: specification["process"].update(
            rlimits=[{"type": "RLIMIT_MEMLOCKED", "soft": 1, "hard": 1}]
        ),
    ),
    ("runsc does not support it", lambda specification: specification.update(windows={})),
    (
        "/none does not exist, with which runsc fails",
        lambda specification: specification["linux"]["namespaces"].append(
            {"type": "network", "path": "/none"}
        ),
    ),
    (
        "/none does not exist, with which runsc fails",
        lambda specification: specification["linux"]["namespaces"].append(
            {"type": "user", "path": "/none"}
        ),
    ),
    (
        "a user namespace without linux.uidMappings",
        lambda specification: specification["linux"]["namespaces"].append({"type": "user"}),
    ),
    (
        "mappings without a user namespace",
        lambda specification: specification["linux"].update(uidMappings=[{"size": 1}]),
    ),
    ("5000, which Linux refuses", lambda each: each["process"].update(oomScoreAdj=5000)),
    ("-1001, which Linux refuses", lambda each: each["process"].update(oomScoreAdj=-1001)),
    (
        "a timeout of 0 seconds",
        lambda specification: specification.update(
            hooks={"createRuntime": [{"path": "/bin/true", "timeout": 0}]}
        ),
    ),
    ("pyproject.toml is not executable", add_hook("prestart", f"{files.ROOT}/pyproject.toml")),
    (
        "/none does not exist here",
        lambda specification: specification["root"].update(path="/none"),
    ),
)


@pytest.mark.parametrize(
    ("problem", "change"), REFUSED, ids=lambda each: each if isinstance(each, str) else ""
)
def test_specification_that_runsc_refuses_violates_one_rule(
    problem: str, change: Change, valid: LaunchRequest
) -> None:
    (found,) = violations(changed(valid, change))
    assert found.rule == "F14"
    assert problem in found.problem
    assert found.step


@pytest.mark.parametrize(("network", "rules"), [("none", []), ("host", ["F14"])])
def test_network_namespace_is_opened_unless_there_is_no_network(
    network: str, rules: list[str], valid: LaunchRequest
) -> None:
    """runsc enters it for --network=host, too."""
    missing = {"type": "network", "path": "/none"}
    request = changed(valid, lambda each: each["linux"]["namespaces"].append(missing))
    found = violations(replace(request, flags=(f"--network={network}",)))
    assert [each.rule for each in found] == rules


@pytest.mark.parametrize(("path", "rules"), [("/proc/self/ns/net", []), ("file", ["F14"])])
def test_file_that_is_no_namespace_is_refused(
    path: str, rules: list[str], valid: LaunchRequest, tmp_path: Path
) -> None:
    """ip netns add leaves an empty file where its mount does not reach: invalid argument."""
    (tmp_path / "file").touch()
    opened = {"type": "network", "path": str(tmp_path / path)}
    found = violations(changed(valid, lambda each: each["linux"]["namespaces"].append(opened)))
    assert [each.rule for each in found] == rules
    assert all("is not a namespace" in each.problem for each in found)
