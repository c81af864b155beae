"""The test layers, one folder of tests/ each: question, needs and images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """A folder of tests/.

    `images` are the variants that must be built: none, one name, or all. `make test` runs the
    `common` layers; `per_variant` layers run and count once for each variant; tests of `parallel`
    layers share nothing; `of_projects` layers test the images of projects too.
    """

    name: str
    question: str
    needs: str
    images: str = ""
    common: bool = False
    per_variant: bool = False
    parallel: bool = False
    of_projects: bool = False

    @property
    def command(self) -> str:
        """The command that runs the layer."""
        return f"make test-{self.name}"

    @property
    def file(self) -> str:
        """The JUnit file, relative to the checkout; {} is the variant where each has a file."""
        folder = "{}" if self.name in {"image", "workload"} else "tests"
        return f"out/{folder}/{self.name}.xml"

    def file_of(self, variant: str) -> str:
        """The JUnit file with a variant's results, relative to the checkout."""
        return self.file.format(variant)


LAYERS = (
    Layer(
        "unit",
        "Do the build and the test harness work as documented?",
        "nothing",
        common=True,
        parallel=True,
    ),
    Layer(
        "static",
        "Do the committed files match versions.yaml? Is every download pinned?",
        "nothing",
        common=True,
        parallel=True,
    ),
    Layer(
        "image",
        "Does the image hold what it must and nothing else? Do its programs work?",
        "an engine",
        images="all",
        common=True,
        per_variant=True,
        of_projects=True,
    ),
    Layer(
        "variants",
        "Are the common parts of slim and full identical? Is every difference declared?",
        "an engine",
        images="all",
        common=True,
    ),
    Layer(
        "registry",
        "Does a registry get exactly the bytes that were tested?",
        "an engine",
        images="slim",
        common=True,
    ),
    Layer(
        "node_kit",
        "Does the GPU kit give the same results as the checkout, with only Python installed?",
        "root, an engine",
        images="slim",
        common=True,
    ),
    Layer(
        "machine",
        "Are the results correct with a hostile environment, a full disk, a strict kernel or a dead"
        " container?",
        "root, an engine",
        images="slim",
        common=True,
    ),
    Layer(
        "workload",
        "Does CUDA work in the image's own runsc, and fail where it must? Without a GPU: does a"
        " sandbox boot with everything in its place?",
        "root; a GPU for all of it",
        images="all",
        common=True,
        per_variant=True,
        of_projects=True,
    ),
    Layer(
        "pod",
        "Does a worker's pod have its GPU, a driver that its runsc serves, and the rights to start"
        " sandboxes?",
        "a cluster, kubectl",
        of_projects=True,
    ),
    Layer(
        "cluster",
        "Do workers run on the cluster of `make cluster`, and does each check of a pod fail for its"
        " own reason? `make test-pod` without CONTEXT runs it",
        "root, an engine",
        images="all",
    ),
    Layer(
        "layers",
        "Do the pod layer, the workload layer in a pod, and the requirements' checklist pass at"
        " once, and is a runsc that does not serve the driver refused?",
        "root, an engine; a GPU for all of it",
        images="all",
    ),
    Layer(
        "sandboxes",
        "Do users' containers have a network, limits, logs and exit codes, and leave nothing"
        " behind, with runsc and with runc?",
        "an engine",
        images="all",
    ),
    Layer(
        "component",
        "Do the steps of CONTRIBUTING.md and docs/projects.md add a component that builds and"
        " passes its tests?",
        "an engine",
        images="full",
    ),
    Layer(
        "forks",
        "Are forks and patches of Go components built as the lock says, and named in the image, its"
        " record and its SBOM?",
        "an engine",
    ),
    Layer(
        "mutation",
        "Do intentionally broken images fail the tests, and do the controls pass?",
        "an engine",
        images="all",
        per_variant=True,
    ),
    Layer(
        "offline",
        "Does a build without a network give the same image ID? Are images built for arm64?",
        "root, an engine",
        images="slim",
    ),
    Layer(
        "upstream",
        "Do both images build from what the projects publish, and does every fault of a host end a"
        " build with a way out?",
        "root, an engine",
        images="all",
    ),
    Layer(
        "engines",
        "Do other versions of Docker, BuildKit and Podman give the same image ID, and push only"
        " what was tested?",
        "root, an engine",
        images="slim",
    ),
    Layer(
        "release",
        "Does a release publish only the tested bytes, survive faults of registries, and verify"
        " nothing that was changed?",
        "an engine",
        images="all",
        parallel=True,
    ),
    Layer(
        "torture",
        "Do killed builds and releases finish later, and is the image the same on every machine?",
        "root, an engine, hours; not in CI",
        images="all",
    ),
    Layer(
        "examples",
        "Does a project with a variant of its own build, pass its tests, and still contain all"
        " layers of full?",
        "an engine",
    ),
)
