"""What the records of an image may cause to be downloaded has bounds."""

from collections.abc import Mapping, Sequence

import pytest

from worker_images.errors import FetchError
from worker_images.files import ROOT
from worker_images.harness import closed_world
from worker_images.harness.dpkg import Installed
from worker_images.model import pins
from worker_images.model.lock import Package, Roots
from worker_images.model.oci.image import ImageError
from worker_images.model.pins import DebianPin

NO_PACKAGES = Roots({}, {}, ())
# Nothing listens there, so that a download fails.
ADDRESS = "http://127.0.0.1:9/x.deb"


def download(count: int) -> None:
    """Download the packages that an image records, of which the lock has none."""
    recorded = {f"p{number}": Installed("1", (), ()) for number in range(count)}
    pin = pins.load(ROOT / "versions.yaml")[0].debian
    closed_world.debs(recorded, pin, NO_PACKAGES, "amd64", every=False)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> None:
    """An index in which each package has 3 MiB."""

    def resolve(
        _: DebianPin, names: Mapping[str, Sequence[str]], __: str
    ) -> dict[str, tuple[Package, ...]]:
        found = (each.partition("=")[0] for each in names["tested"])
        return {"tested": tuple(Package(name, "1", ADDRESS, 3 << 20, "0" * 64) for name in found)}

    monkeypatch.setattr(closed_world, "resolve", resolve)
    monkeypatch.setattr("worker_images.fetch.http.PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("count", "message"),
    [
        (201, "201 Debian packages that are not in versions.lock; at most 200 are downloaded"),
        (171, "537919488 bytes of Debian packages that are not in versions.lock; at most"),
    ],
)
def test_packages_beyond_a_bound_are_not_downloaded(count: int, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        download(count)


@pytest.mark.usefixtures("index")
def test_packages_within_the_bounds_are_downloaded() -> None:
    with pytest.raises(FetchError, match="p0 1"):
        download(1)
