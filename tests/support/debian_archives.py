"""Signed Debian archives on a loopback address; `signed_archives/make` wrote them."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.registries import Registry
from worker_images.cli import inputs
from worker_images.files import ROOT

FOLDER = ROOT / "tests/support/signed_archives"


@dataclass(frozen=True)
class Debian:
    """A checkout whose mirrors are archives of the server."""

    registry: Registry
    checkout: Path

    def use(self, security: str) -> None:
        """Take the security archive from a folder of FOLDER."""
        for name in ("versions.yaml", "versions.lock"):
            text = (ROOT / name).read_text()
            text = text.replace(
                "http://deb.debian.org/debian-security", f"{self.registry.address}/{security}"
            )
            text = text.replace("http://deb.debian.org/debian", f"{self.registry.address}/main")
            (self.checkout / name).write_text(text)

    def lock(self, *arguments: str) -> str:
        """Run the command."""
        return inputs.lock([*arguments], self.checkout, _ignore)

    def except_for(self, text: str) -> None:
        """Write the exceptions."""
        (self.checkout / "security-exceptions.yaml").write_text(text)

    def publish(self) -> None:
        """Serve all archives."""
        for path in FOLDER.rglob("dists/**/*"):
            if path.is_file():
                self.registry.rows[f"/{path.relative_to(FOLDER)}"] = path.read_bytes()


def _ignore(_: str) -> None:
    """Show no progress."""
