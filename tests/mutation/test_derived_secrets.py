"""Are secrets found in the files and in the settings of a derived image?"""

import pytest

from tests.support import image_tests
from tests.support.derived_images import Settings, derive
from tests.support.made_up_secrets import SECRETS
from tests.support.members import file

FILES = "test_secrets::test_no_file_contains_a_secret"
NAMES = "test_secrets::test_no_setting_has_the_name_of_a_secret"
SETTINGS = "test_secrets::test_no_secret_in_the_configuration_or_the_manifest"
PACKAGED = "opt/venv/lib/python3.13/site-packages/app/settings.py"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the checks report of an image with a secret of each kind and one in a variable."""
    names = {name: f"opt/{name.replace(' ', '-').lower()}" for name in SECRETS}
    members = [file(path, f"x {SECRETS[name]} y\n") for name, path in names.items()]
    members.append(file(PACKAGED, f"x {SECRETS['GitHub']} y\n"))
    path = tmp_path_factory.mktemp("secrets") / "image.tar"
    settings = Settings(environment=(f"HUB={SECRETS['Hugging Face']}", "APP_TOKEN=b7d9c1e5"))
    derive("slim", members, settings).write(path)
    return image_tests.failures("slim", path, [FILES, SETTINGS, NAMES], "--mode", "derived")


@pytest.mark.parametrize("kind", SECRETS)
def test_secret_in_a_file_is_named_by_its_path(kind: str, reports: dict[str, str]) -> None:
    assert f"/opt/{kind.replace(' ', '-').lower()}: " in reports[FILES]


def test_secret_in_a_variable_is_found(reports: dict[str, str]) -> None:
    assert "huggingface" in reports[SETTINGS]


def test_token_in_a_python_package_is_found(reports: dict[str, str]) -> None:
    assert f"/{PACKAGED}: betterleaks.github-pat" in reports[FILES]


def test_variable_with_the_name_of_a_secret_is_named(reports: dict[str, str]) -> None:
    assert "ENV APP_TOKEN: a value for the name of a secret" in reports[NAMES]


def test_no_report_has_a_secret(reports: dict[str, str]) -> None:
    assert len(reports) == 3
    texts = "".join(reports.values())
    assert "b7d9c1e5" not in texts
    assert not [kind for kind, text in SECRETS.items() if text[-12:] in texts]
