"""Does the image have the base, entry point, environment and size that its users rely on?"""

import fnmatch
import re
import ssl
from datetime import datetime

import pytest
from testinfra.host import Host

from worker_images.harness import expect
from worker_images.harness.collection import Case, case_of
from worker_images.model.drivers.table import Release
from worker_images.model.oci.image import Image


@pytest.mark.parametrize(
    "program",
    [
        "iptables",
        "iptables-save",
        "iptables-restore",
        "ip6tables",
        "ip6tables-save",
        "ip6tables-restore",
    ],
)
def test_iptables_program_uses_nf_tables(program: str, host: Host) -> None:
    answer = host.run(f"{program} -V")
    assert answer.rc == 0
    assert re.match(rf"{program} v1\.[0-9.]+ \(nf_tables\)$", answer.stdout.strip())


def test_iproute2_runs(host: Host) -> None:
    assert host.run("ip -V").rc == 0


def test_ps_lists_processes(host: Host) -> None:
    assert "sleep" in host.check_output("ps -A -o comm=")


def test_mount_is_from_util_linux(host: Host) -> None:
    assert host.check_output("mount --version").startswith("mount from util-linux")


def test_os_release_names_the_pinned_debian_suite(host: Host, case: Case) -> None:
    assert (
        f"VERSION_CODENAME={case.pins.debian.suite}"
        in host.file("/etc/os-release").content_string.splitlines()
    )


def test_tmp_is_world_writable_and_sticky(host: Host) -> None:
    assert host.file("/tmp").mode == 0o1777  # noqa: S108 - the folder itself is tested


def test_shadow_contains_no_password(image: Image) -> None:
    entry = image.find("/etc/shadow")
    assert entry
    hashes = [line.split(":")[1] for line in image.read(entry).decode().splitlines()]
    assert len(hashes) > 10
    assert set(hashes) <= {"*", "!", "!*", "!!"}


@pytest.mark.mode("built")
@pytest.mark.source("packages")
def test_shadow_has_one_line_for_each_account(image: Image) -> None:
    """The file equals one that is generated from /etc/passwd."""
    shadow, passwd = (image.find(f"/etc/{name}") for name in ("shadow", "passwd"))
    assert shadow
    assert passwd
    accounts = [line.split(":")[0] for line in image.read(passwd).decode().splitlines()]
    expected = "".join(f"{name}:*:19000:0:99999:7:::\n" for name in accounts)
    assert image.read(shadow).decode() == expected


def test_shadow_is_not_world_readable(host: Host) -> None:
    assert host.file("/etc/shadow").mode & 0o007 == 0


@pytest.mark.mode("built")
@pytest.mark.source("packages")
def test_generated_files_match_their_debian_sources(image: Image) -> None:
    """The CA bundle and three files in /etc are built from files of Debian packages."""

    def text(path: str) -> bytes:
        entry = image.find(path)
        assert entry, path
        return image.read(entry)

    certificates = sorted(
        path
        for path in image.merged
        if fnmatch.fnmatchcase(path, "/usr/share/ca-certificates/mozilla/*.crt")
    )
    assert text("/etc/ssl/certs/ca-certificates.crt") == b"".join(map(text, certificates))
    sources = {
        "passwd": "base-passwd/passwd.master",
        "group": "base-passwd/group.master",
        "nsswitch.conf": "libc-bin/nsswitch.conf",
    }
    for made, source in sources.items():
        assert text(f"/etc/{made}") == text(f"/usr/share/{source}").replace(
            b":/bin/bash\n", b":/bin/sh\n"
        )


def test_host_names_resolve_from_files_and_dns(host: Host) -> None:
    assert host.file("/etc/nsswitch.conf").contains("^hosts:.*files.*dns")


@pytest.mark.parametrize(("locale", "characters"), [("C.UTF-8", "1"), ("C", "2")])
def test_locale_counts_characters(locale: str, characters: str, host: Host) -> None:
    """Both locales work without the gconv modules, which the image does not contain."""
    assert host.check_output(f"printf '\\303\\274' | LC_ALL={locale} wc -m") == characters


def test_root_has_an_account_and_an_existing_shell(host: Host) -> None:
    """The account has no password, or its password is in /etc/shadow (pwconv)."""
    name, password, *numbers, _, _, shell = host.check_output("getent passwd root").split(":")
    assert (name, numbers) == ("root", ["0", "0"])
    assert password in {"*", "x"}
    assert host.file(shell).exists
    name, password, number, *_ = host.check_output("getent group root").split(":")
    assert (name, number) == ("root", "0")
    assert password in {"*", "x"}


def test_ca_bundle_contains_certificates(image: Image) -> None:
    """Each certificate of the bundle can be parsed and is that of an authority."""
    entry = image.find("/etc/ssl/certs/ca-certificates.crt")
    assert entry
    text = image.read(entry).decode("ascii")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=text)
    except ssl.SSLError as error:
        raise pytest.fail.Exception(f"not certificates: {error}", pytrace=False) from error
    found = len(context.get_ca_certs())
    assert found == text.count("BEGIN CERTIFICATE")
    assert found >= 100


@pytest.mark.mode("built")
def test_entry_point_is_tini_as_root(image: Image) -> None:
    assert image.settings["Entrypoint"] == ["/usr/bin/tini", "--"]
    assert image.settings["User"] in {"0", "0:0", "root"}
    assert image.settings["Cmd"] == ["/bin/sh"]
    assert image.settings.get("WorkingDir") in {None, "", "/"}
    assert image.find("/usr/bin/tini")


@pytest.mark.mode("built")
def test_configuration_has_only_declared_settings(image: Image) -> None:
    """No ONBUILD trigger, volume, port, health check or shell is set."""
    assert image.settings.keys() <= {
        "Env",
        "Entrypoint",
        "Cmd",
        "Labels",
        "User",
        "WorkingDir",
        "ArgsEscaped",
    }


@pytest.mark.mode("built")
def test_labels_match_versions_drivers_and_source(
    image: Image, case: Case, contract: Release
) -> None:
    labels = image.settings["Labels"]
    assert isinstance(labels, dict)
    found = {name: text for name, text in labels.items() if name.startswith("worker.")}
    assert found == case.labels(contract.supported)


def test_engine_loads_the_image_that_was_read(image: Image, engine_id: str) -> None:
    """The engine loads the image also if programs of its architecture cannot run here.

    The copy of an archive without index.json has a manifest of its own, which engine_id compares.
    """
    assert engine_id.startswith("sha256:")
    assert engine_id in image.digests or len(image.digests) == 1


def test_platform_is_linux_and_the_built_architecture(image: Image, case: Case) -> None:
    assert (image.config["os"], image.config["architecture"]) == ("linux", case.architecture)


def test_shell_is_posix(host: Host) -> None:
    assert host.check_output('set -eu; x=abc; echo "${x%c}$((6 * 7))"') == "ab42"


@pytest.mark.mode("built")
def test_environment_is_the_declared_one(image: Image, case: Case) -> None:
    variables = image.settings["Env"]
    assert isinstance(variables, list)
    declared = expect.variant(case.root, case.variant).environment
    assert sorted(variables) == sorted(f"{name}={value}" for name, value in declared.items())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "component" in metafunc.fixturenames:
        metafunc.parametrize("component", case_of(metafunc.config).components)


def test_component_files_have_their_declared_modes(
    component: str, image: Image, case: Case
) -> None:
    """Each file that a component declares exists with its mode.

    runsc, for example, must be executable for everyone: it runs itself again as user nobody.
    """
    files = expect.component(case.root, component, case.architecture).files
    assert {path: (entry := image.find(path)) and f"{entry.mode:04o}" for path in files} == dict(
        files
    )


def test_component_reports_its_version(component: str, host: Host, case: Case) -> None:
    """The commands in a component's expect.yaml print what it says."""
    expected = expect.component(case.root, component, case.architecture).reports
    version = case.reported_version(component)
    for command, text in expected.items():
        assert host.check_output(command).startswith(text.format(version=version))


@pytest.mark.mode("built")
def test_size_is_within_budget(image: Image, case: Case) -> None:
    budget = expect.variant(case.root, case.variant).budget(case.source, case.architecture)
    assert image.size / 1e6 <= budget, {layer.diff_id: layer.unpacked for layer in image.layers}


@pytest.mark.mode("built")
def test_files_are_at_most_as_late_as_the_pinned_time(image: Image, case: Case) -> None:
    # Debian wrote the first layer of an image from upstream.
    own = [entry for entry in image.entries if entry.layer or case.source == "packages"]
    assert own
    assert not [entry.path for entry in own if entry.time > int(case.pins.file_time)]


@pytest.mark.mode("built")
def test_image_is_created_at_the_time_of_the_lock(image: Image, case: Case) -> None:
    """The source upstream has no lock; its images have the time of the files."""
    locked = {"packages": case.lock.debian.time, "upstream": int(case.pins.file_time)}
    history = image.config["history"]
    assert isinstance(history, list)
    times = [image.config["created"], *(step["created"] for step in history)]
    found = {datetime.fromisoformat(str(each)).timestamp() for each in times}
    assert found == {locked[case.source]}
