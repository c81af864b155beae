"""The configuration of the node's programs."""

import json

from worker_images.cluster import gpus, parts, settings
from worker_images.cluster.links import Link
from worker_images.cluster.settings import Options
from worker_images.files import ROOT

LINK = Link("wimk0", "10.214.0.1", "10.214.0.2")
OPTIONS = Options("580.159.04")


def files() -> dict[str, str]:
    return settings.files(LINK, OPTIONS)


def test_each_user_has_a_token_of_its_own() -> None:
    rows = [line.split(",")[0] for line in files()["tokens.csv"].splitlines()]
    again = [line.split(",")[0] for line in files()["tokens.csv"].splitlines()]
    assert len({*rows, *again}) == 2 * len(settings.USERS)


def test_access_of_a_user_names_its_token() -> None:
    found = files()
    tokens = {line.split(",")[1]: line.split(",")[0] for line in found["tokens.csv"].splitlines()}
    access = json.loads(found["admin.json"])
    assert access["users"][0]["user"]["token"] == tokens["admin"]
    assert access["clusters"][0]["cluster"]["server"] == "https://10.214.0.2:6443"


def test_specification_has_each_gpu_and_all() -> None:
    devices = gpus.specification("/devices", [], 2)["devices"]
    assert isinstance(devices, list)
    nodes = {
        device["name"]: [node["hostPath"] for node in device["containerEdits"]["deviceNodes"]]
        for device in devices
    }
    assert nodes == {
        "0": ["/devices/nvidia0"],
        "1": ["/devices/nvidia1"],
        "all": ["/devices/nvidia0", "/devices/nvidia1"],
    }


def test_specification_links_the_library_by_its_short_name() -> None:
    edits = gpus.specification("/devices", ["/l/libcuda.so.1.2"], 2)["containerEdits"]
    assert isinstance(edits, dict)
    (link, _) = edits["hooks"]
    assert link["args"][-1] == "libcuda.so.1.2::/usr/lib/x86_64-linux-gnu/libcuda.so.1"


def test_version_is_that_of_the_modules() -> None:
    """The version that the programs report is the pinned one."""
    text = (ROOT / parts.FOLDER / "go.mod").read_text()
    assert f"\tk8s.io/kubernetes {parts.VERSION}\n" in text
    names = (ROOT / parts.FOLDER / "kubernetes.go").read_text()
    assert all(f'"{name}"' in names for name in parts.NAMES)
