"""What every worker image promises downstream: base, entry point, environment, size."""

from testinfra.host import Host

from imagetest import expect
from imagetest.image import Image
from imagetest.plugin import ROOT, Case


def test_iptables(host: Host) -> None:
    answer = host.run("iptables -V")
    assert answer.rc == 0
    assert answer.stdout.startswith("iptables v1.")


def test_iproute2(host: Host) -> None:
    assert host.run("ip -V").rc == 0


def test_root_has_an_account_and_its_shell_exists(host: Host) -> None:
    fields = host.check_output("getent passwd root").split(":")
    assert fields[:4] == ["root", "*", "0", "0"]
    assert host.file(fields[6]).exists


def test_certificates(host: Host) -> None:
    bundle = host.file("/etc/ssl/certs/ca-certificates.crt")
    assert bundle.contains("BEGIN CERTIFICATE")
    assert int(host.check_output("grep -c 'BEGIN CERTIFICATE' /etc/ssl/certs/ca-certificates.crt")) >= 100


def test_entry_point(image: Image) -> None:
    assert image.settings["Entrypoint"] == ["/usr/bin/tini", "--"]
    assert image.settings["User"] in {"0", "0:0", "root"}
    assert image.find("/usr/bin/tini")


def test_shell_is_posix(host: Host) -> None:
    assert host.check_output('set -eu; x=abc; echo "${x%c}$((6 * 7))"') == "ab42"


def test_environment_is_all_declared(image: Image, case: Case) -> None:
    variables = image.settings["Env"]
    assert isinstance(variables, list)
    assert dict(line.split("=", 1) for line in variables) == dict(expect.variant(ROOT, case.variant).environment)


def test_size_is_within_budget(image: Image, case: Case) -> None:
    budget = float(expect.variant(ROOT, case.variant).megabytes)
    assert image.size / 1e6 <= budget, {layer.digest: layer.size for layer in image.layers}


def test_times_do_not_betray_the_build_day(image: Image, case: Case) -> None:
    assert str(image.config["created"]).startswith("20")
    epoch = int(case.pins.source_date_epoch)
    assert not [entry.path for entry in image.entries if entry.time > epoch]
