"""Inputs of a build come from one lock and contain no package twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from worker_images.build import compilers, inputs, plan, published
from worker_images.build.compilers import Toolchain, Zig
from worker_images.build.inputs import Root, Tar
from worker_images.build.plan import Plan
from worker_images.model.lock import Lock
from worker_images.model.project import Project


def roots(planned: Plan) -> dict[str, Root]:
    """Return the root filesystems of a plan by owner, in order."""
    return {each.owner: each for each in planned.inputs if isinstance(each, Root)}


def names(root: Root) -> set[str]:
    """Return the package names of a root."""
    return {each.name for each in root.packages}


def test_all_variants_share_one_base(locked: Lock, project: Project) -> None:
    bases = {
        name: roots(plan.make(project, locked, name))["base"] for name in project.catalog.buildable
    }
    assert bases["slim"] == bases["full"]
    assert len(bases["slim"].packages) > 20


def test_root_contains_no_package_of_the_root_below(locked: Lock, project: Project) -> None:
    slim, full = (roots(plan.make(project, locked, name)) for name in ("slim", "full"))
    assert set(slim) == {"base"}
    assert {"cgo", "criu", "runc", "cuda-runtime"} <= set(full)
    assert "criu" in names(full["criu"])
    for owner in ("cgo", "runc", "criu"):
        assert not names(full["base"]) & names(full[owner])


def test_root_contains_no_package_that_builds_do_not_use(locked: Lock, project: Project) -> None:
    cgo = names(roots(plan.make(project, locked, "full"))["cgo"])
    assert "gcc" in cgo
    assert not [name for name in cgo if name.startswith("libasan")]
    assert [each for each in locked.packages["amd64"].of("cgo") if each.name.startswith("libasan")]


def test_other_architecture_has_its_own_base_and_a_native_root(
    locked: Lock, project: Project
) -> None:
    found = roots(plan.make(project, locked, "slim", architecture="arm64"))
    assert list(found) == ["base", inputs.NATIVE]
    base, native = found.values()
    assert names(base) == names(native)
    assert any(each.url.endswith("_arm64.deb") for each in base.packages)
    assert not any(each.url.endswith("_arm64.deb") for each in native.packages)


def test_c_code_for_another_architecture_has_a_compiler_here_and_libraries_of_there(
    locked: Lock, project: Project
) -> None:
    planned = plan.of_components(project, locked, "full", ["runc"], architecture="arm64")
    found = roots(planned)
    assert list(found) == ["base", inputs.NATIVE, inputs.CROSS, inputs.TARGET, "runc"]
    assert {"gcc-aarch64-linux-gnu", "pkgconf"} <= names(found[inputs.CROSS])
    assert names(found["runc"]) == {"libseccomp-dev", "libseccomp2"}
    for owner, foreign in ((inputs.CROSS, "_arm64.deb"), (inputs.TARGET, "_amd64.deb")):
        assert not [each.url for each in found[owner].packages if each.url.endswith(foreign)]
    # The C library that is linked is the one of the image, not the copy that the compiler brings.
    libraries = {each for each in found[inputs.TARGET].packages if each.name == "libc6"}
    assert len(libraries) == 1
    assert libraries <= {*found["base"].packages}
    assert not [name for name in names(found[inputs.CROSS]) if name.startswith("libc6")]


def test_wheel_for_another_architecture_is_unpacked_by_programs_that_run_here(
    locked: Lock, project: Project
) -> None:
    planned = plan.of_components(project, locked, "full", ["cuda-runtime"], architecture="arm64")
    found = roots(planned)
    assert list(found) == ["base", inputs.NATIVE, "cuda-runtime"]
    assert "unzip" in names(found["cuda-runtime"])
    assert not [each.url for each in found["cuda-runtime"].packages if "_arm64.deb" in each.url]
    (wheel,) = (each for each in planned.inputs if isinstance(each, inputs.Wheel))
    assert wheel.digest == locked.wheels["arm64"]["cuda-runtime"].sha256
    assert wheel.digest != locked.wheels["amd64"]["cuda-runtime"].sha256


def test_bytes_of_c_code_depend_on_the_compiler_and_the_libraries(
    locked: Lock, project: Project
) -> None:
    planned = plan.of_components(project, locked, "full", ["gvisor", "runc"], architecture="arm64")
    owners = [{each.owner for each in planned.inputs_of(part)} for part in planned.components]
    assert {inputs.NATIVE, inputs.CROSS, inputs.TARGET, "runc"} <= owners[1]
    assert not {inputs.CROSS, inputs.TARGET} & owners[0]


def test_upstream_has_images_and_files_and_no_roots(locked: Lock, project: Project) -> None:
    planned = plan.make(project, locked, "full", "upstream")
    assert roots(planned) == {}
    downloads = {
        each.name: each
        for each in planned.inputs
        if isinstance(each, published.Image | published.File)
    }
    assert "debian:trixie-slim" in downloads
    assert "nvidia/cuda:12.8.0-base-ubuntu22.04" in downloads
    assert {each.address for each in locked.published} == set(downloads)
    assert {each.digest for each in locked.published} == {
        each.digest for each in downloads.values()
    }


def test_input_names_and_places_are_unique(locked: Lock, project: Project) -> None:
    found = plan.make(project, locked, "full").inputs
    assert len({each.name for each in found}) == len(found)
    placed = [each.place for each in found if not isinstance(each, inputs.Modules)]
    assert len(set(placed)) == len(placed)


def test_root_digest_changes_with_its_packages(locked: Lock, project: Project) -> None:
    base = roots(plan.make(project, locked, "slim"))["base"]
    assert replace(base, packages=base.packages[1:]).digest != base.digest


@pytest.mark.parametrize(
    ("module", "kind"),
    [("rootfs.py", Root), ("gotoolchain.py", Toolchain), ("zigtoolchain.py", Zig)],
)
def test_digest_of_a_tar_changes_with_the_source_of_its_writer(
    module: str,
    kind: type[Tar],
    locked: Lock,
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    planned = plan.make(project, locked, "full")
    tar = next(each for each in planned.inputs if isinstance(each, kind))
    before = tar.digest
    (tmp_path / module).write_text((compilers.WRITERS / module).read_text() + "\n")
    monkeypatch.setattr(compilers, "WRITERS", tmp_path)
    assert tar.digest != before
