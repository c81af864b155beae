"""Where the dynamic loader of the container's image searches for libraries.

The loader of glibc contains its folders. It also reads LD_LIBRARY_PATH, and the cache that ldconfig
wrote from /etc/ld.so.conf. That of musl reads LD_LIBRARY_PATH and a file with folders.
"""

import fnmatch
import platform
import posixpath
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from worker_images.node.lint import toolkit_hooks
from worker_images.node.lint.container_files import ContainerFiles
from worker_images.node.lint.request import LaunchRequest

LIBRARY = "libcuda.so.1"
GLIBC, MUSL, UNKNOWN = "glibc", "musl", ""
# The loader's path, and the flags of its architecture in the cache (glibc, ldconfig.h).
LOADERS = {
    "x86_64": ("/lib64/ld-linux-x86-64.so.2", 0x303),
    "aarch64": ("/lib/ld-linux-aarch64.so.1", 0xA03),
}
# glibc, elf/dl-load.c: the folders are strings one after another, each with a slash at its end.
SYSTEM_FOLDERS = re.compile(rb"(?:(?:/[\w.+-]+)+/\0)+")
CONFIGURATION, CACHE = "/etc/ld.so.conf", "/etc/ld.so.cache"
CACHE_MAGIC, CACHE_HEADER, CACHE_ROW = b"glibc-ld.so.cache1.1", 48, struct.Struct("<iIIIQ")
MUSL_FOLDERS = ("/lib", "/usr/local/lib", "/usr/lib")
MOST_BYTES, MOST_INCLUDES = 16 << 20, 100
# The command that lets ldconfig prefer this folder, if the libcuda in it is of a newer driver.
PREFER = frozenset({"enable-cuda-compat", "cuda-compat"})
COMPAT, COMPAT_LIBRARY = "/usr/local/cuda/compat", re.compile(r"libcuda\.so\.(\d+)\..+")
CONFIGURATIONS = "/etc/ld.so.conf.d"


@dataclass(frozen=True)
class Loader:
    """The folders of a loader: of LD_LIBRARY_PATH, its own, and those that ldconfig would add.

    `cached` has the paths of libcuda.so.1 in the cache, and `refreshed` the folders that a hook of
    NVIDIA's toolkit adds to it, if there is one. `hidden` is the loader's path if a mount hides it,
    and `foreign` the other machine for which the image is.
    """

    libc: str
    path: tuple[str, ...]
    own: tuple[str, ...]
    cached: tuple[str, ...] = ()
    refreshed: tuple[str, ...] = ()
    configured: tuple[str, ...] = ()
    hidden: str = ""
    foreign: str = ""

    @property
    def before(self) -> list[str]:
        """The paths at which it looks for libcuda.so.1 before its cache."""
        return [posixpath.join(folder, LIBRARY) for folder in self.path]

    @property
    def after(self) -> list[str]:
        """The paths at which it looks for libcuda.so.1 from its cache on."""
        return [*self.cached, *(posixpath.join(folder, LIBRARY) for folder in self.own)]


def read(request: LaunchRequest, files: ContainerFiles) -> Loader:
    """Return the loader that programs of the container's image use."""
    path, musl = tuple(_path(request)), f"/lib/ld-musl-{platform.machine()}.so.1"
    program, flags = LOADERS.get(platform.machine(), ("", 0))
    if foreign := _foreign(files, (program, musl)):
        return Loader(UNKNOWN, path, (), foreign=foreign)
    own, hidden = _own(files, program)
    scanned = tuple(toolkit_hooks.folders(request))
    if not own and files.file(musl):
        text = _bytes(files, f"/etc/ld-musl-{platform.machine()}.path").decode(errors="replace")
        return Loader(MUSL, path, tuple(re.split(r"[:\n]", text.strip())) if text else MUSL_FOLDERS)
    configured = tuple(_configured(files, CONFIGURATION))
    return Loader(
        GLIBC if own else UNKNOWN,
        path,
        own,
        tuple(_cached(_bytes(files, CACHE), flags)),
        (*_preferred(request, files), *scanned, *configured, *own) if scanned else (),
        configured,
        hidden,
    )


def _foreign(files: ContainerFiles, own: tuple[str, ...]) -> str:
    """Return the machine whose loader the image has, if it has none of this machine."""
    for each in (files, ContainerFiles(files.root)):
        if any(each.file(program) for program in own):
            return ""
    for machine, (program, _) in LOADERS.items():
        if files.file(program) or files.file(f"/lib/ld-musl-{machine}.so.1"):
            return machine
    return ""


def _own(files: ContainerFiles, program: str) -> tuple[tuple[str, ...], str]:
    """Return the folders in glibc's loader, and its path if a mount hides it."""
    image = ContainerFiles(files.root)
    for each in (files, image):
        if found := each.file(program):
            hidden = program if each is image else ""
            return _folders_in(_bytes(each, program)) or _folders_beside(found[0]), hidden
    for folder in (f"/lib/{platform.machine()}-linux-gnu", "/lib64", "/usr/lib"):
        if found := files.file(f"{folder}/libc.so.6"):
            return _folders_beside(found[0]), ""
    return (), ""


def _path(request: LaunchRequest) -> Iterator[str]:
    """Yield the folders of LD_LIBRARY_PATH; a relative one is below the working folder."""
    working_folder = (request.specification.get("process") or {}).get("cwd") or "/"
    value = request.environment.get("LD_LIBRARY_PATH", "")
    for folder in re.split("[:;]", value) if value else ():
        yield posixpath.join("/", working_folder, folder)


def _folders_in(program: bytes) -> tuple[str, ...]:
    longest = max(SYSTEM_FOLDERS.findall(program), key=len, default=b"")
    return tuple(folder.decode().rstrip("/") for folder in longest.split(b"\0") if folder)


def _folders_beside(program: str) -> tuple[str, ...]:
    """Return the folders of a loader without readable strings, by the place of its file."""
    name = posixpath.basename(posixpath.dirname(program))
    folders = (f"/{name}", f"/usr/{name}")
    if name == "lib64":
        return folders
    multiarch = (f"/lib/{name}", f"/usr/lib/{name}", "/lib", "/usr/lib")
    return multiarch if name.endswith("-linux-gnu") else folders if name == "lib" else ()


def _preferred(request: LaunchRequest, files: ContainerFiles) -> list[str]:
    """Return the folder that a hook puts before all others, if it does."""
    folder = files.behind(files.resolve(CONFIGURATIONS))
    is_run = any(PREFER & {*words} for _, words in toolkit_hooks.commands(request))
    if not is_run or not files.file(CACHE) or not folder or not folder.is_dir():
        return []
    found = [match for name in files.names(COMPAT) if (match := COMPAT_LIBRARY.fullmatch(name))]
    major = int(request.node.driver.partition(".")[0])
    return [COMPAT] if len(found) == 1 and int(found[0][1]) > major else []


def _bytes(files: ContainerFiles, path: str) -> bytes:
    """Return a file of the container; empty if it cannot be read."""
    found = files.file(path)
    try:
        if found:
            with found[1].open("rb") as file:
                return file.read(MOST_BYTES)
    except OSError:
        pass
    return b""


def _configured(files: ContainerFiles, path: str) -> Iterator[str]:
    """Yield the folders of /etc/ld.so.conf, with those of the files that it includes."""
    waiting, read_files = [path], 0
    while waiting and read_files < MOST_INCLUDES:
        current, read_files = waiting.pop(0), read_files + 1
        for line in _bytes(files, current).decode(errors="replace").splitlines():
            words = line.partition("#")[0].split()
            if words[:1] == ["include"]:
                for pattern in words[1:]:
                    waiting += _matches(files, posixpath.join("/etc", pattern))
            elif words[:1] and words[0].startswith("/"):
                yield posixpath.normpath(words[0])


def _matches(files: ContainerFiles, pattern: str) -> list[str]:
    folder, _, name = pattern.rpartition("/")
    return [f"{folder}/{each}" for each in files.names(folder) if fnmatch.fnmatchcase(each, name)]


def _cached(data: bytes, flags: int) -> Iterator[str]:
    """Yield the paths of libcuda.so.1 in the loader's cache."""
    data = data[max(data.find(CACHE_MAGIC), 0) :]
    if not data.startswith(CACHE_MAGIC) or len(data) < CACHE_HEADER:
        return
    (count,) = struct.unpack_from("<I", data, len(CACHE_MAGIC))
    rows = data[CACHE_HEADER : CACHE_HEADER + count * CACHE_ROW.size]
    rows = rows[: len(rows) // CACHE_ROW.size * CACHE_ROW.size]
    for kind, key, value, _, _ in CACHE_ROW.iter_unpack(rows):
        if kind == flags and _string(data, key) == LIBRARY:
            yield _string(data, value)


def _string(data: bytes, begin: int) -> str:
    end = data.find(b"\0", begin)
    return data[begin:end].decode(errors="replace") if end >= 0 else ""
