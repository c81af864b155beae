"""Package URLs of the parts of an image."""

from packageurl import PackageURL


def debian(name: str, version: str, architecture: str, suite: str) -> PackageURL:
    """The URL of a Debian package."""
    return PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": suite})


def module(path: str, version: str) -> PackageURL:
    """The URL of a Go module."""
    namespace, _, name = path.rpartition("/")
    return PackageURL("golang", namespace, name, version)


def wheel(project: str, version: str) -> PackageURL:
    """The URL of a wheel of PyPI."""
    return PackageURL("pypi", None, project, version)
