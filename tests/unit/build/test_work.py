"""Plans of requests, and the digests of their inputs."""

import json
from pathlib import Path

from worker_images.build import requirements
from worker_images.build.work import Request, plan_all
from worker_images.files import text_digest
from worker_images.model import project
from worker_images.model.drivers.table import DRIVERS


def key(checkout: Path) -> dict[str, str]:
    """Return the digest of each input and of the Dockerfile."""
    planned = plan_all([Request("slim", "upstream")], project.load(checkout))
    inputs = {each.name: each.digest for each in planned.plans[0].inputs}
    return inputs | {"Dockerfile": text_digest(planned.dockerfiles[0])}


def test_known_driver_changes_only_the_digest_of_drivers_json(checkout: Path) -> None:
    before = key(checkout)
    path = checkout / DRIVERS
    data = json.loads(path.read_text())
    data["releases"]["20260622.0"]["known"].pop()
    path.write_text(json.dumps(data))
    changed = {name for name, digest in key(checkout).items() if before[name] != digest}
    assert changed == {"components/gvisor/drivers.json"}


def test_lock_is_read_once_for_all_variants(checkout: Path) -> None:
    loaded = project.load(checkout)
    planned = plan_all([Request("slim"), Request("full")], loaded)
    assert planned.locked == requirements.load(loaded)
    assert [each.variant for each in planned.plans] == ["slim", "full"]
