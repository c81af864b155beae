"""What the pinned Debian suite offers: the version of a source package, and the digest of its
upstream archive.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

from worker_images.build.plan import BUILDER
from worker_images.build.update import order
from worker_images.build.update.values import Offer
from worker_images.errors import EngineError, NoAnswerError
from worker_images.fetch import apt, web
from worker_images.files import scratch
from worker_images.model.pins import DebianPin

ARCHIVE = re.compile(
    r"'(?P<url>[^']+)' \S+_(?P<version>[^_]+)\.orig\.tar\.\w+ (?P<size>[0-9]+)"
    r" SHA256:(?P<sha256>[0-9a-f]{64})"
)


@dataclass(frozen=True)
class SourcePackage:
    """A source package of the suite, by apt, which checks Debian's signature."""

    pin: DebianPin
    name: str
    timeout: float = web.TIMEOUT_SECONDS
    seconds: float = 40.0

    def newer(self, pinned: str) -> Sequence[Offer]:
        """The suite has one version of a package."""
        match = ARCHIVE.search(self._addresses())
        if match is None:
            raise NoAnswerError(
                f"{web.host(self.pin.mirror)} has no upstream archive of {self.name} in"
                f" {self.pin.suite}"
            )
        version = match["version"]
        if order.numbers(version) <= order.numbers(pinned):
            return ()
        return (
            self._dated(
                Offer(version, None, int(match["size"]), match["sha256"], match["sha256"]),
                match["url"],
            ),
        )

    def _dated(self, offer: Offer, address: str) -> Offer:
        """With the day on which the mirror got it, where it tells."""
        try:
            told = web.head(address, self.timeout).get("Last-Modified", "")
            return Offer(
                offer.version, parsedate_to_datetime(told), offer.size, offer.digest, offer.vendor
            )
        except (NoAnswerError, ValueError):
            return offer

    def _addresses(self) -> str:
        if not apt.KEYRING.exists():
            raise EngineError(f"no {apt.KEYRING}; run: apt-get install debian-archive-keyring")
        # Also when the program ends while apt still writes there.
        with tempfile.TemporaryDirectory(
            prefix="part-apt-", dir=scratch(), ignore_cleanup_errors=True
        ) as name:
            configuration = apt.apt_folder(
                Path(name), apt.sources(self.pin).replace("deb [", "deb-src ["), BUILDER
            )
            self._apt(configuration, "update", "--error-on=any")
            return self._apt(configuration, "source", "--print-uris", "--only-source", self.name)

    def _apt(self, configuration: str, *arguments: str) -> str:
        command = [
            "env",
            f"APT_CONFIG={configuration}",
            "LC_ALL=C",
            "apt-get",
            "-q",
            "-y",
            *arguments,
        ]
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=self.seconds / 2
            )
        except subprocess.TimeoutExpired as error:
            raise NoAnswerError(
                f"{web.host(self.pin.mirror)} does not answer in {self.seconds / 2:g} s"
            ) from error
        if result.returncode:
            cause = next(
                (line for line in result.stderr.splitlines() if line.startswith("E:")),
                result.stderr.strip(),
            )
            raise NoAnswerError(
                f"{web.host(self.pin.mirror)} does not answer (apt-get {arguments[0]}: {cause})"
            )
        return result.stdout
