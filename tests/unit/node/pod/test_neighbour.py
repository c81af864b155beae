"""The server beside a worker, in a cluster."""

from tests.support import fake_worker
from tests.support.neighbours import server_pod


def test_neighbour_runs_where_the_worker_runs() -> None:
    """It has the image of the chosen container, the registry's password and the tolerations."""
    found = fake_worker.pod()
    found["spec"]["containers"].insert(0, {"name": "proxy", "image": "proxy"})
    access = {
        "imagePullSecrets": [{"name": "registry"}],
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
    }
    found["spec"] |= access
    spec = server_pod("neighbour", found, "worker")["spec"]
    assert [each["image"] for each in spec["containers"]] == [fake_worker.IMAGE]
    assert {name: spec[name] for name in access} == access
