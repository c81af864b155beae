"""Named rules for what a derived image must not contain."""

import fnmatch
import re
from collections.abc import Callable, Iterator

from worker_images.harness import settings
from worker_images.harness.derived import CA_BUNDLE, TOOLKIT, Derivation, Fault
from worker_images.harness.settings import LIBCUDA
from worker_images.model.oci.image import Image

# Go programs read all files of both folders.
CERTIFICATES, OTHER_CERTIFICATES = "/etc/ssl/certs/", "/etc/pki/tls/certs"
TRUSTED = "Go programs trust all files in this folder"
CERTIFICATE_VARIABLES = {"SSL_CERT_FILE", "SSL_CERT_DIR"}
# A CDI specification names hooks, which the toolkit runs as root.
TOOLKIT_PATHS = re.compile(rf".*{TOOLKIT}.+|(/etc|/run|/var/run)/cdi/.+")
# A hash of crypt(3), also of a locked account.
PASSWORD = re.compile(r"!*(\$.+|[./0-9A-Za-z_]{13,})")
SONAMES = {"libcuda.so.1", "libnvidia-ml.so.1"}


def _replaced(found: Derivation) -> Iterator[Fault]:
    """No path of the worker image is replaced or removed."""
    yield from (each for each in found.changes if each.rule == "replaced")


def _setuid(found: Derivation) -> Iterator[Fault]:
    """No added file is setuid or setgid."""
    for entry in found.added:
        if entry.kind in {"file", "hardlink"} and entry.mode & 0o6000:
            yield Fault("setuid", entry.path, f"mode {entry.mode:04o}")


def _attribute(found: Derivation) -> Iterator[Fault]:
    """No added path has capabilities or other extended attributes."""
    for entry in found.added:
        if entry.attributes:
            yield Fault("attribute", entry.path, f"has {', '.join(entry.attributes)}")


def _device(found: Derivation) -> Iterator[Fault]:
    """No device is added."""
    for entry in found.added:
        if entry.kind == "device":
            yield Fault("device", entry.path, "a device")


def _account(found: Derivation) -> Iterator[Fault]:
    """Only root has the user ID 0, and no account has an empty password or a new password hash."""
    for path, count in (("/etc/passwd", 7), ("/etc/shadow", 9)):
        known = {fields[1] for fields in _accounts(found, found.worker, path)}
        for fields in _accounts(found, found.image, path):
            if len(fields) != count:
                yield Fault("account", path, f"not a valid line: {':'.join(fields)!r}")
            elif not fields[1]:
                yield Fault("account", path, f"{fields[0]!r} has an empty password")
            elif PASSWORD.fullmatch(fields[1]) and fields[1] not in known:
                what = f"{fields[0]!r} has a password hash, which reveals a weak password"
                yield Fault("account", path, what)
            number = "".join(fields[2:3])
            if path == "/etc/passwd" and fields[0] != "root" and not _is_user(number):
                what = f"{fields[0]!r} has the user ID {number!r}, want 1 to 999999999"
                yield Fault("account", path, what)


def _accounts(found: Derivation, image: Image, path: str) -> list[list[str]]:
    entry = image.find(path)
    lines = found.read(entry).decode(errors="replace").split("\n") if entry else []
    return [line.split(":") for line in lines if line]


def _is_user(number: str) -> bool:
    return bool(re.fullmatch("[0-9]{1,9}", number) and int(number))


def _certificates(found: Derivation) -> Iterator[Fault]:
    """The CA bundle is the worker image's, and no other certificate is trusted by all programs."""
    yield from (each for each in found.changes if each.rule == "certificates")
    for name, value in found.variables:
        if name in CERTIFICATE_VARIABLES and value != CA_BUNDLE:
            yield Fault("certificates", f"ENV {name}", f"set to {value!r}")
    for entry in found.added:
        if not entry.path.startswith(CERTIFICATES) or entry.kind in {"folder", "whiteout"}:
            continue
        target = found.image.find(entry.path)
        if entry.path != CA_BUNDLE and not (target and found.is_trusted(target)):
            yield Fault("certificates", entry.path, TRUSTED)
    place = found.image.resolve(OTHER_CERTIFICATES)
    paths = [path for path in found.image.merged if f"{path}/".startswith(f"{place}/")]
    if f"{place}/" != CERTIFICATES and (paths or place != OTHER_CERTIFICATES):
        yield Fault("certificates", OTHER_CERTIFICATES, TRUSTED)


def _toolkit(found: Derivation) -> Iterator[Fault]:
    """The configuration of the NVIDIA Container Toolkit is the worker image's."""
    changed = [each for each in found.changes if each.rule == "toolkit"]
    yield from changed
    for entry in found.added:
        path = f"{entry.path}/..." if found.is_link_to_folder(entry) else entry.path
        if (
            TOOLKIT_PATHS.fullmatch(path)
            and entry.kind not in {"folder", "whiteout"}
            and entry.path not in {each.path for each in changed}
        ):
            yield Fault("toolkit", entry.path, "configures programs that run as root")


def _libcuda(found: Derivation) -> Iterator[Fault]:
    """No library of the node's driver is added under any name."""
    for program in found.programs:
        name = program.entry.path.rpartition("/")[2]
        if program.soname in SONAMES or LIBCUDA.fullmatch(name):
            what = f"a library {program.soname or name}, which belongs to the node's driver"
            yield Fault("libcuda", program.entry.path, what)
    for entry in found.added:
        if entry.kind in {"link", "hardlink"} and LIBCUDA.fullmatch(entry.path.rpartition("/")[2]):
            yield Fault("libcuda", entry.path, f"a {entry.kind} to {entry.target}")


def _program(found: Derivation) -> Iterator[Fault]:
    """A component's programs are only at their declared paths, by name and by contents."""
    for program in found.programs:
        path = program.entry.path
        if path in found.promise.paths:
            continue
        named = set[str]() if program.soname else _named(found, path)
        for component in sorted(named | program.components):
            how = "has the contents" if component in program.components else "has the name"
            yield Fault("program", path, f"{how} of a program of {component}")
    programs = {program.entry.path for program in found.programs if not program.soname}
    for entry in found.added:
        is_link = entry.kind in {"link", "hardlink"} and entry.path not in found.promise.paths
        target = found.image.resolve(entry.path) if entry.kind == "link" else entry.target
        named = _named(found, entry.path) if is_link and target in programs else set()
        for component in sorted(named):
            what = f"a link to {target}, has the name of a program of {component}"
            yield Fault("program", entry.path, what)


def _named(found: Derivation, path: str) -> set[str]:
    """The components of whose programs a path has a name."""
    name = path.rpartition("/")[2]
    return {
        component
        for component, traces in found.promise.traces.items()
        if any(fnmatch.fnmatchcase(name, trace.rpartition("/")[2]) for trace in traces)
    }


RULES: dict[str, Callable[[Derivation], Iterator[Fault]]] = {
    "replaced": _replaced,
    "setuid": _setuid,
    "attribute": _attribute,
    "device": _device,
    "account": _account,
    "loader": settings.loader,
    "path": settings.path,
    "nvidia": settings.nvidia,
    "certificates": _certificates,
    "toolkit": _toolkit,
    "libcuda": _libcuda,
    "label": settings.label,
    "program": _program,
}
