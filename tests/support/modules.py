"""Go module archives for tests."""

import io
import zipfile

PREFIX = "a.org/b@v1.0.0/"


def zipped(**files: bytes) -> bytes:
    """Return a module archive of the files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{PREFIX}{name}", content)
    return stream.getvalue()
