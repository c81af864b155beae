"""The commands about releases refuse wrong options with the cause and the next step."""

import argparse
import shlex
from pathlib import Path

import pytest

from tests.support.releases import NEW, OLD
from worker_images.cli import main, release, verify_release
from worker_images.cli.release_options import add_verifier, verifier_of
from worker_images.errors import UsageError
from worker_images.files import ROOT
from worker_images.release.tools import Tools

TOOLS = Tools(Path())
REPOSITORY = "registry.example/team/worker"


def silent(_: str) -> None:
    """No progress."""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--to ''", "--to '': not a version; use letters, digits, . _ and -, such as 1.4.0"),
        (
            "--to 1.4.0-slim",
            "--to 1.4.0-slim: ends with a variant, and tags are VERSION-VARIANT; use 1.4.0",
        ),
        (
            "--to 1.4.0 --registry http://registry.example/worker",
            (
                "--registry 'http://registry.example/worker': not a repository: write it without"
                " http://"
            ),
        ),
    ],
)
def test_rollback_refuses_a_wrong_name_before_any_work(options: str, message: str) -> None:
    words = ["--registry", REPOSITORY, *shlex.split(options)]
    with pytest.raises(UsageError) as found:
        verify_release.roll_back(words, ROOT, pytest.fail)
    assert str(found.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "name who must have signed: --key FILE, or --identity and --issuer"),
        ("--issuer a", "name who must have signed: --key FILE, or --identity and --issuer"),
        (
            "--key release.pub --identity a",
            "name who must have signed: either --key, or --identity and --issuer, not both",
        ),
        (
            "--key release.pub --identity a --issuer b",
            "name who must have signed: either --key, or --identity and --issuer, not both",
        ),
    ],
)
def test_signer_is_named_in_one_way(options: str, message: str) -> None:
    parser = argparse.ArgumentParser()
    add_verifier(parser)
    with pytest.raises(UsageError) as found:
        verifier_of(parser.parse_args(options.split()), TOOLS)
    assert str(found.value) == message


def test_help_shows_what_to_type_for_a_hosted_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit codes of reading commands have no failed check."""
    for command in (verify_release.check, verify_release.roll_back):
        with pytest.raises(SystemExit):
            command(["--help"], ROOT, silent)
        text = capsys.readouterr().out
        workflow = "https://github.com/OWNER/REPO/.github/workflows/release.yaml@refs/tags/v1.4.0"
        assert f" --identity {workflow}\n" in text
        assert " --issuer https://token.actions.githubusercontent.com " in text
        assert "GitHub https://token.actions.githubusercontent.com\n" in text
        assert "`cosign initialize`" in text
        codes = text.partition("exit codes:")[2]
        assert [code for code in "0234567" if code in codes] == ["0", "2", "6", "7"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [NEW.version, "--since", NEW.version],
            f"--since {NEW.version}: not earlier than {NEW.version}; name an earlier release",
        ),
        (
            [OLD.version, "--since", NEW.version],
            f"--since {NEW.version}: not earlier than {OLD.version}; name an earlier release",
        ),
        (
            [NEW.version, "--since", ""],
            "version '': not a version; use letters, digits, . _ and -, such as 1.4.0",
        ),
        (
            [NEW.version, "--registry", "worker"],
            (
                "--registry 'worker': not a repository: use a name with its registry, such as"
                " registry.example/team/worker"
            ),
        ),
    ],
)
def test_release_notes_refuse_a_wrong_name(words: list[str], message: str, tmp_path: Path) -> None:
    NEW.write(tmp_path)
    OLD.write(tmp_path)
    assert release.write_notes([NEW.version, "--since", OLD.version], tmp_path, silent)
    with pytest.raises(UsageError) as found:
        release.write_notes(words, tmp_path, silent)
    assert str(found.value) == message


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("verify-release", "interrupted"),
        ("release-notes", "interrupted"),
        ("doctor", "interrupted"),
        ("rollback", "interrupted; run the same command again to finish"),
        ("release", "interrupted; run the same command again to finish"),
        ("lock", "interrupted; run the same command again"),
        ("--variant", "interrupted; nothing was tagged; run the same command again"),
    ],
)
def test_interrupted_command_has_the_text_of_its_kind(command: str, text: str) -> None:
    assert main.interrupted(command) == text
