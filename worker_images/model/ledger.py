"""images/ledger.json: reviewed sizes and diffIDs of layers.

The keys are component, architecture and digest of the component's inputs. Equal inputs must give
equal bytes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from worker_images.errors import DriftError
from worker_images.files import write_atomic
from worker_images.model.tree import Tree
from worker_images.typed import typed
from worker_images.untrusted import UntrustedError, read_json

LEDGER = "images/ledger.json"
# The tests that compare layers with it.
LEDGER_TESTS = "tests/image/test_ledger.py"


def inputs_file(archive: Path) -> Path:
    """The file beside an image archive with the digest of each layer's inputs."""
    return archive.with_suffix(".inputs.json")


@dataclass(frozen=True)
class Entry:
    """A reviewed layer: its unpacked size in bytes, and its diffID."""

    bytes: int
    diff_id: str


@dataclass(frozen=True)
class Ledger:
    """All reviewed layers."""

    rows: Mapping[str, Mapping[str, Mapping[str, Entry]]]

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the ledger of a checkout, or of a project if it has one; raises DriftError."""
        if not (root / LEDGER).exists() and not Tree(root).stands_alone:
            return cls({})
        try:
            return typed(cls, {"rows": read_json(root / LEDGER)}, LEDGER)
        except (OSError, UntrustedError) as error:
            raise DriftError(f"{LEDGER}:1:1: cannot be read ({error}); restore it") from error

    def entry(self, name: str, architecture: str, inputs: str) -> Entry | None:
        """The entry of a component built from these inputs; None if they were not reviewed."""
        return self.rows.get(name, {}).get(architecture, {}).get(inputs)

    def latest(self, name: str, architecture: str) -> Entry | None:
        """The entry of a component, for any inputs."""
        return next(iter(self.rows.get(name, {}).get(architecture, {}).values()), None)

    def with_entry(self, name: str, architecture: str, inputs: str, entry: Entry) -> Self:
        """A ledger in which the entry replaces the component's earlier one."""
        row = {**self.rows.get(name, {}), architecture: {inputs: entry}}
        return type(self)({**self.rows, name: row})

    def without(self, names: Iterable[str]) -> Self:
        """A ledger without the entries of these components."""
        gone = {*names}
        return type(self)({name: row for name, row in self.rows.items() if name not in gone})

    def write(self, root: Path) -> None:
        """Write the ledger of a checkout or a project."""
        rows = {
            name: {
                architecture: {digest: asdict(entry) for digest, entry in entries.items()}
                for architecture, entries in architectures.items()
            }
            for name, architectures in self.rows.items()
        }
        (root / LEDGER).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(root / LEDGER, json.dumps(rows, indent=1, sort_keys=True) + "\n")
