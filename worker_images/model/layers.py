"""The test layers: one folder of tests/ each, its question, its make target and what it needs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """A folder of tests/; `file` is the JUnit file, with {} where each variant has its own.

    `per_variant` layers are counted by variant.
    """

    name: str
    question: str
    target: str
    needs: str
    file: str
    per_variant: bool = False

    @property
    def command(self) -> str:
        """What runs it."""
        return f"make {self.target}"

    def file_of(self, variant: str) -> str:
        """The JUnit file of a variant's results, below the checkout."""
        return self.file.format(variant)


LAYERS = (
    Layer(
        "unit",
        "Do the build and the test harness do what they say?",
        "test",
        "nothing",
        "out/test/junit.xml",
    ),
    Layer(
        "static",
        "Is the committed text what versions.yaml says, pinned and complete?",
        "test",
        "nothing",
        "out/test/junit.xml",
    ),
    Layer(
        "image",
        "Does the image hold what it must and nothing else? Do its programs work?",
        "test-images",
        "an engine",
        "out/{}/judge.xml",
        per_variant=True,
    ),
    Layer(
        "relation",
        "Are the parts that slim and full share the same bytes, is the rest declared?",
        "test-images",
        "an engine",
        "out/images/junit.xml",
    ),
    Layer(
        "push",
        "Does a registry get exactly the bytes that were tested?",
        "test-images",
        "an engine",
        "out/images/junit.xml",
    ),
    Layer(
        "kit",
        "Does the GPU kit run with Python alone, as the checkout does?",
        "test-images",
        "root, an engine",
        "out/images/junit.xml",
    ),
    Layer(
        "machine",
        "Do a hostile environment, a full disk, a strict kernel or a dead container change the"
        " results?",
        "test-images",
        "root, an engine",
        "out/images/junit.xml",
    ),
    Layer(
        "workload",
        "Does CUDA work in the image's own runsc, and fail where it must? Without a GPU: does a"
        " sandbox boot with everything in its place?",
        "test-workload",
        "root; a GPU for all of it",
        "out/{}/workload.xml",
        per_variant=True,
    ),
    Layer(
        "mutants",
        "Does the test harness fail images made wrong on purpose, and pass the controls?",
        "test-mutants",
        "an engine",
        "out/mutants/judge.xml",
        per_variant=True,
    ),
    Layer(
        "offline",
        "Does a build without a network give the same image ID? Is slim for arm64 built and read?",
        "test-offline",
        "root, an engine",
        "out/offline/junit.xml",
    ),
    Layer(
        "engines",
        "Do other versions of Docker, BuildKit and Podman give the same image ID, and push only"
        " what was tested?",
        "test-engines",
        "root, an engine",
        "out/engines/junit.xml",
    ),
    Layer(
        "examples",
        "Does a Dockerfile on top of an image build, and is the image still in it?",
        "test-examples",
        "an engine",
        "out/examples/junit.xml",
    ),
)
