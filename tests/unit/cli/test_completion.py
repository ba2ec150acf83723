"""What a shell is offered to complete a command with."""

import pytest
from click.shell_completion import BashComplete

from hwdash.cli.main import cli


def offered(*words: str, begun: str) -> list[str]:
    complete = BashComplete(cli, {}, "hwdash", "_HWDASH_COMPLETE")
    return [each.value for each in complete.get_completions(list(words), begun)]


@pytest.mark.parametrize(
    ("words", "begun", "wanted"),
    [
        ((), "lab", ["label"]),
        (("label",), "", ["cancel", "create", "list", "show", "update", "wait"]),
        (("label", "create"), "--go", ["--go-live"]),
        (("label", "create", "--os"), "windows_v100_x64_g", ["WINDOWS_v100_X64_GE_FULL"]),
        (("label", "update", "--floor"), "R", ["RS1", "RS2", "RS3", "RS4", "RS5"]),
        (("share", "--os"), "WINDOWS_XP_M", ["WINDOWS_XP_MEDIA_CENTER"]),
    ],
)
def test_commands_options_and_words_of_the_field_are_offered(
    words: tuple[str, ...], begun: str, wanted: list[str]
) -> None:
    assert sorted(offered(*words, begun=begun)) == sorted(wanted)
