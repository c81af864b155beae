"""Are the licence texts in the images where docs/licences.md says, and are its quotations exact?"""

import re
import zipfile

import pytest

from tests.support.sites import images
from worker_images.build import requirements
from worker_images.fetch.store import Store
from worker_images.files import ROOT
from worker_images.model import project
from worker_images.model.oci import archive
from worker_images.model.oci.image import Image

PAGE = (ROOT / "docs/licences.md").read_text()
ROWS = re.findall(r"^\| ([a-z-]+) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)[2:]
QUOTATION = re.compile(r"(?:^  > .*\n)+", re.MULTILINE)
PROJECT = project.load(ROOT)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Image:
    path = ROOT / "out/full/image.tar"
    assert path.exists(), "full is not built; run: make full"
    with images():
        return archive.load(path, tmp_path_factory.mktemp("full"))


@pytest.fixture(scope="module")
def agreement() -> str:
    """NVIDIA's agreement, in the locked wheel, with one space between words."""
    wheel = Store().wheel(requirements.load(PROJECT).wheels["amd64"]["cuda-runtime"])
    with zipfile.ZipFile(wheel) as files:
        (name,) = (each for each in files.namelist() if each.endswith("/License.txt"))
        return words(files.read(name).decode())


def words(text: str) -> str:
    return " ".join(text.split())


def quotations() -> list[str]:
    return [
        words(each.replace("\n  > ", " ").removeprefix("  > ")) for each in QUOTATION.findall(PAGE)
    ]


def test_table_has_the_base_and_every_component() -> None:
    assert [name for name, _ in ROWS] == ["base", *PROJECT.catalog.variants["full"].components]


@pytest.mark.parametrize(("name", "texts"), ROWS)
def test_licence_texts_of_a_component_are_in_the_image(name: str, texts: str, full: Image) -> None:
    paths = re.findall(r"`([^`]+)`", texts)
    assert bool(paths) == (name != "cuda-runtime")
    for path in paths:
        assert full.find(path.rstrip("/").replace("/*/", "/base-files/")), path


def test_packages_without_a_copyright_file_are_on_the_page(full: Image) -> None:
    records = [path for path in full.merged if path.startswith("/var/lib/dpkg/status.d/")]
    names = {path.rpartition("/")[2].removesuffix(".md5sums") for path in records}
    own = {
        path.split("/")[4]
        for path in full.merged
        if path.startswith("/usr/share/doc/") and path.endswith("/copyright")
    }
    listed = re.search(r"`([^`]+)` and `([^`]+)` have none of their own", words(PAGE))
    assert listed
    assert names - own == set(listed.groups())


def test_quotations_are_in_the_agreement(agreement: str) -> None:
    assert len(quotations()) == 8
    assert [each for each in quotations() if each not in agreement] == []


def test_library_is_distributable_for_linux(agreement: str) -> None:
    """Attachment A names libcudart.so below CUDA Runtime and Linux."""
    attachment = agreement.partition("2.6. Attachment A")[2].partition("Component CUDA FFT")[0]
    assert "Component CUDA Runtime" in attachment
    assert "Linux libcudart.so," in attachment


def test_quotation_that_differs_is_found(agreement: str) -> None:
    assert quotations()[0].replace("listed", "named") not in agreement
