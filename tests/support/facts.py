"""The facts of a good machine, and the doctor's rows of facts."""

from dataclasses import replace

from worker_images.build.doctor import doctor
from worker_images.build.doctor.doctor import Facts, Probe, Row
from worker_images.build.machine import Machine
from worker_images.files import ROOT
from worker_images.model import kernel_settings
from worker_images.model.drivers import table
from worker_images.model.drivers.table import DRIVERS

RELEASES = table.read(ROOT / DRIVERS)
GOOD = Facts(
    probes={"engine": Probe("private unix:///engine.sock: Docker 26.1.5, containerd image store")},
    machine=Machine("x86_64", debian=True, root=True),
    capabilities=2**41 - 1,
    proxies={"https_proxy": "http://name:s3cret@proxy.example:3128"},
    kernel={name: setting.good[0] for name, setting in kernel_settings.SETTINGS.items()},
    driver="580.159.04",
    devices=("nvidia3", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools"),
    release="20260622.0",
    releases=RELEASES,
)


NO_ENGINE = replace(GOOD, probes={"engine": Probe()})


def row(facts: Facts, subject: str) -> Row:
    """Return the only row of a subject."""
    (found,) = [each for each in doctor.rows(facts) if each.subject == subject]
    return found
