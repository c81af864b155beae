"""images/ledger.json: sizes and diffIDs that were reviewed.

Keyed by component, architecture and digest of the component's inputs. Equal inputs must give equal
bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from worker_images.files import write_atomic

LEDGER = "images/ledger.json"
# Beside an image archive: the digest of each component's inputs.
INPUTS = "inputs.json"


@dataclass(frozen=True)
class Entry:
    """One reviewed layer: bytes unpacked, and diffID."""

    bytes: int
    diff_id: str


@dataclass(frozen=True)
class Ledger:
    """Every reviewed layer."""

    rows: Mapping[str, Mapping[str, Mapping[str, Entry]]]

    @classmethod
    def read(cls, root: Path) -> Self:
        """Read the ledger of a checkout."""
        return cls(
            {
                name: {
                    architecture: {digest: Entry(**row) for digest, row in entries.items()}
                    for architecture, entries in architectures.items()
                }
                for name, architectures in json.loads((root / LEDGER).read_text()).items()
            }
        )

    def entry(self, name: str, architecture: str, inputs: str) -> Entry | None:
        """The entry of a component made from these inputs; None where they were not reviewed."""
        return self.rows.get(name, {}).get(architecture, {}).get(inputs)

    def latest(self, name: str, architecture: str) -> Entry | None:
        """The entry of a component, whatever its inputs."""
        return next(iter(self.rows.get(name, {}).get(architecture, {}).values()), None)

    def with_entry(self, name: str, architecture: str, inputs: str, entry: Entry) -> Self:
        """A ledger in which the entry replaces that of the component's earlier inputs."""
        row = {**self.rows.get(name, {}), architecture: {inputs: entry}}
        return type(self)({**self.rows, name: row})

    def write(self, root: Path) -> None:
        """Write the ledger of a checkout."""
        rows = {
            name: {
                architecture: {digest: asdict(entry) for digest, entry in entries.items()}
                for architecture, entries in architectures.items()
            }
            for name, architectures in self.rows.items()
        }
        write_atomic(root / LEDGER, json.dumps(rows, indent=1, sort_keys=True) + "\n")
