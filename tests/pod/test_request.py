"""Does the pod request a GPU through NVIDIA's runtime, and does it run the expected image?"""

from pathlib import Path

import pytest

from tests.pod.worker import Worker
from worker_images.harness.options import Seen, not_run
from worker_images.node import trust
from worker_images.node.pod import driver, request
from worker_images.node.pod.kubectl import ForbiddenError, NotFoundError
from worker_images.node.pod.request import DIGEST, Request


def test_runtime_class_adds_the_driver(
    worker: Worker, driver_text: str, seen: Seen, pytestconfig: pytest.Config
) -> None:
    """The RuntimeClass exists, and its handler is NVIDIA's; a cluster may add the driver itself."""
    name = worker.found["spec"].get("runtimeClassName", "")
    handler = None
    try:
        handler = worker.pod.get("runtimeclass", name)["handler"] if name else None
    except NotFoundError:
        seen(f"no RuntimeClass {name}")
    except ForbiddenError as error:
        not_run(pytestconfig, "pod", str(error))
    found = request.runtime_class(name, handler, driver.files(driver_text))
    seen(found.seen)
    assert not found.problem, found.problem


def test_container_requests_full_gpus(worker: Worker, gpu_request: Request, seen: Seen) -> None:
    """A limit of NVIDIA's device plugin, also a shared one, or a resource claim; no MIG."""
    found = request.limit(gpu_request, worker.pod.container)
    seen(found.seen)
    assert not found.problem, found.problem


def test_visible_devices_name_no_part_of_a_gpu(worker: Worker, seen: Seen) -> None:
    """NVIDIA_VISIBLE_DEVICES is information, except for MIG; CDI sets it to void."""
    answer = worker.run('echo "${NVIDIA_VISIBLE_DEVICES-unset}"').output.strip()
    found = request.visible_devices(None if answer == "unset" else answer)
    seen(found.seen)
    assert not found.problem, found.problem


def test_pod_runs_the_image_under_test(
    worker: Worker, seen: Seen, pytestconfig: pytest.Config
) -> None:
    """The digest of the container's image is that of --image: a reference or an archive."""
    named = str(pytestconfig.getoption("image") or "")
    if Path(named).is_file():
        expected = set(trust.digests(Path(named)))
    else:
        expected = set(DIGEST.findall(named))
    if not expected:
        not_run(pytestconfig, "pod", "no digest to compare; add --image FILE or REF@sha256:...")
    found = request.image(expected, worker.container, worker.status)
    seen(found.seen)
    assert not found.problem, found.problem
