"""The documentation says what the code does: commands, settings, routes, errors, rules, links, in both directions."""

import ast
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest
from starlette.applications import Starlette

from hwdash.cli.main import cli
from hwdash.cli.output import Exit
from hwdash.clock import system_clock
from hwdash.distribution.applicability import RULES as OFFER_RULES
from hwdash.domain.errors import Code
from hwdash.drivers.inf.verify import CODES
from hwdash.drivers.inf.verify.coverage import INFERRED, UNCHECKED
from hwdash.server.api.routes import ROUTES
from hwdash.server.app import create_service
from hwdash.server.errors import STATUS
from hwdash.server.setup import make_service
from hwdash.settings import SECRETS, Settings
from hwdash.vocabulary import SUBMISSION_STEPS
from hwdash.wire.offers import (
    InstalledDriver,
    InstalledExtension,
    MachineDevice,
    MachineDocument,
    Smbios,
    WindowsOfMachine,
)
from service import API, ROOT, ApiClient, Served, clean_environment, signed_cabinet

DOCS = ROOT / "docs"
SOURCE = ROOT / "src" / "hwdash"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
REFERENCE = DOCS / "reference"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"`([^`]*)`")


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in FENCE.findall(page.read_text("utf-8")) if kind == language]


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, heads and rules left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = {number - 1 for number, line in enumerate(lines) if set(line) <= set("|-")}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for number, line in enumerate(lines)
        if number not in heads and not set(line) <= set("|-")
    ]


def sections(page: Path) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def string_constants(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


# Command line


def commands(command: click.Command, path: tuple[str, ...] = ("hwdash",)) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))
    else:
        yield " ".join(path), command


def options(command: click.Command) -> set[str]:
    return {name for each in command.params if isinstance(each, click.Option) for name in each.opts}


COMMANDS = dict(commands(cli))


def test_every_command_is_listed_and_every_listed_command_is_there() -> None:
    listed = [name for name in sections(REFERENCE / "command-line.md") if name.startswith("hwdash ")]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_listed_and_no_other(name: str) -> None:
    section = sections(REFERENCE / "command-line.md")[name]
    listed = {CELL.findall(row[0])[0].split()[0] for row in rows(section)}
    assert listed == options(COMMANDS[name])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_choice_of_a_command_is_listed(name: str) -> None:
    named = {text.casefold() for text in CELL.findall(sections(REFERENCE / "command-line.md")[name])}
    kinds = [each.type for each in COMMANDS[name].params if isinstance(each.type, click.Choice)]
    taken = {kind.normalize_choice(choice, None).casefold() for kind in kinds for choice in kind.choices}
    assert taken - named == set()


@pytest.mark.parametrize("page", ["reference/command-line.md", "how-to/submit-from-ci.md"])
def test_the_exit_codes_are_listed(page: str) -> None:
    listed = {int(row[0]) for row in rows(sections(DOCS / page)["Exit codes"])}
    assert listed - {130} == {0, *map(int, Exit)}


def shell_commands(page: Path) -> Iterator[list[str]]:
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_shown_are_commands_that_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for words in shell_commands(page):
        if words[:1] == ["make"]:
            assert set(words[1:]) <= targets, words
        if words[:1] == ["hwdash"]:
            name = max((each for each in COMMANDS if " ".join(words).startswith(each)), key=len, default="")
            assert name, f"{page}: there is no command {' '.join(words)}"
            # What stands after -- is another program's.
            own = words[: words.index("--")] if "--" in words else words
            shown = {word.partition("=")[0] for word in own if word.startswith("--")}
            assert shown <= options(COMMANDS[name]), words


def test_the_readme_shows_make_demo_and_make_test() -> None:
    shown = list(shell_commands(ROOT / "README.md"))
    assert ["make", "demo"] in shown
    assert ["make", "test"] in shown


def test_the_readme_names_the_packages_that_make_test_installs() -> None:
    found = re.search(
        r"^test: setup\n\t@sh scripts/system-packages.sh (.+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE
    )
    assert found
    text = " ".join((ROOT / "README.md").read_text().split())
    assert [name for name in found[1].split() if name not in text] == []


def test_the_readme_shows_what_the_demo_prints(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hwdash.cli.main", "demo", "--keep", str(tmp_path / "kept")],
        capture_output=True,
        text=True,
        check=True,
    )
    (shown,) = (block for block in blocks(ROOT / "README.md", "text") if block.startswith("1. The sample driver"))
    assert without_variables(shown) == without_variables(done.stderr + done.stdout)
    for output in (shown, done.stderr):
        steps = re.findall(r"^\[\d/8\] (\w+)", output, flags=re.MULTILINE)
        assert list(dict.fromkeys(steps)) == [str(step) for step in SUBMISSION_STEPS]


def without_variables(output: str) -> list[str]:
    """The lines without numbers, without the folders of paths, and without the steps that a look happened to see."""
    lines = [re.sub(r"\S*/(?=\S)", "", line) for line in output.splitlines() if not re.match(r"\[\d/8\] ", line)]
    return [re.sub(r"\d+(\.\d+)?", "N", line) for line in lines]


# Settings and variables


def test_every_setting_is_listed_with_its_default_and_no_other() -> None:
    listed = {}
    for row in rows((REFERENCE / "settings.md").read_text()):
        name, variable = CELL.findall(row[0])[0], CELL.findall(row[1])[0]
        assert variable == f"HWDASH_{name.upper()}"
        listed[name] = "".join(CELL.findall(row[2]))
        assert row[3], f"{name} has no meaning"
    assert listed == {each.name: str(getattr(Settings(), each.name)) for each in fields(Settings)}


def test_every_variable_is_documented_and_every_documented_variable_is_read() -> None:
    read = {f"HWDASH_{each.name.upper()}" for each in fields(Settings)}
    read |= {
        f"HWDASH_{name.upper()}_FILE" for name in (*SECRETS, "client_secret", "officer_passphrase", "root_passphrase")
    }
    read |= {f"HWDASH_{name.upper()}" for name in SECRETS}
    read |= {text for text in string_constants(SOURCE) if re.fullmatch(r"HWDASH_[A-Z_]+", text)}
    documented = {
        name
        for page in PAGES
        for name in re.findall(r"(?<![A-Z_])HWDASH_[A-Z_]*[A-Z]", page.read_text())
        if page.parent != DOCS / "adr"
    }
    assert documented == read


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_toml_and_python_shown_are_sound(page: Path) -> None:
    for block in blocks(page, "toml"):
        tomllib.loads(block)
    for number, block in enumerate(blocks(page, "python")):
        compile(block, f"{page.name}[{number}]", "exec")


def test_the_settings_file_shown_can_be_read() -> None:
    (shown,) = blocks(REFERENCE / "settings.md", "toml")
    assert set(tomllib.loads(shown)) <= {each.name for each in fields(Settings)} - {"data"}


# The API


@pytest.fixture(scope="module")
def new_service(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    settings = Settings(data=tmp_path_factory.mktemp("new") / "data")
    make_service(settings, account_name="A", application_name="B", hosts=["localhost"], now=system_clock())
    return settings


@pytest.fixture(scope="module")
def routes(new_service: Settings) -> set[tuple[str, str, str]]:
    """(method, path, success status) of every route that the application serves."""
    running = create_service(new_service)
    running.workflow.resources.signer.close()
    app = running.app
    while not isinstance(app, Starlette):
        app = app._app if hasattr(app, "_app") else app._other  # type: ignore[attr-defined]
    return {(route.method, route.path, str(route.status)) for route in ROUTES} | {
        (method, route.path, "200") for route in app.routes for method in route.methods or () if method != "HEAD"
    }


def test_every_route_is_listed_with_its_status_and_no_other(routes: set[tuple[str, str, str]]) -> None:
    listed = {(row[0], row[1].strip("`"), row[2]) for row in rows(sections(REFERENCE / "api.md")["Routes"])}
    assert len(routes) > 10
    assert listed == routes


def test_every_error_code_is_listed_with_its_status() -> None:
    section = sections(REFERENCE / "api.md")["Refusals"]
    listed = {row[0].strip("`"): row[1] for row in rows(section)}
    assert listed == {str(code): str(STATUS[code]) for code in Code}


def test_every_number_of_the_token_endpoint_is_listed() -> None:
    raised = set()
    for name in ("oauth2.py", "assertions.py", "token_requests.py", "device_code.py"):
        for node in ast.walk(ast.parse((SOURCE / "server" / name).read_text())):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and "Re" in node.func.id
            if is_call or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_REFUSED"):
                numbers = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
                raised |= {number for number in numbers if isinstance(number, int) and number > 10_000}
    listed = {int(row[0].removeprefix("AADSTS")) for row in rows(sections(REFERENCE / "api.md")["Tokens"])}
    assert len(raised) > 5
    assert listed == raised


def test_every_blob_error_is_listed_with_its_status() -> None:
    tables = ast.parse((SOURCE / "server" / "blob_wire.py").read_text()).body
    (known,) = (
        ast.literal_eval(node.value)
        for node in tables
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_STATUS"
    )
    listed = {row[0].strip("`"): row[1] for row in rows(sections(REFERENCE / "api.md")["Blobs"])}
    assert {code: status for code, status in listed.items() if status.isdecimal()} == {
        code: str(status) for code, status in known.items()
    }


def test_a_repeated_create_returns_the_first_product(client: ApiClient) -> None:
    body = {"productName": "Twice", "testHarness": "Attestation", "requestedSignatures": ["WINDOWS_v100_X64_GE_FULL"]}
    headers = {"MS-RequestId": "6f1d0bde-0000-4a35-9d5e-0a3c0a5b7f21"}
    first, again = (client.http.post(f"{API}/products", json=body, headers=headers) for _ in range(2))
    other = client.http.post(f"{API}/products", json=body | {"productName": "Other"}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 201)
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]


def test_a_commit_without_an_upload_burns_nothing(client: ApiClient, service: Served, tmp_path: Path) -> None:
    submission = client.create_submission(client.create_product()["id"])
    refused = client.commit(submission)
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "invalidInput"
    assert client.upload(submission, signed_cabinet(tmp_path, service.made.vendor)).status_code == 201
    assert client.commit(submission).status_code == 202


def test_the_client_of_microsofts_libraries_gets_a_signed_package(service: Served, tmp_path: Path) -> None:
    (program,) = blocks(DOCS / "how-to" / "use-existing-clients.md", "python")
    script, target = tmp_path / "client.py", tmp_path / "signed.zip"
    script.write_text(program)
    given = service.made.credentials
    environment = clean_environment(
        HWDASH_URL=service.url,
        HWDASH_CA=given["caCertificate"],
        HWDASH_TENANT_ID=given["tenantId"],
        HWDASH_CLIENT_ID=given["clientId"],
        HWDASH_CLIENT_SECRET=given["clientSecret"],
    )
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        environment.pop(name, None)
    package = signed_cabinet(tmp_path, service.made.vendor)
    done = subprocess.run(
        [sys.executable, str(script), str(package), str(target)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(target) as archive:
        assert any(name.endswith(".cat") for name in archive.namelist())


# Rules


RULE = re.compile(
    r"(?:ERROR ([a-z]+\.[a-z-]+)|((?:package|account|signing|review|label|approval)\.[a-z]+(?:-[a-z]+)*)$)"
)


def emitted_rules() -> set[str]:
    """Whole ids written as text, those that open a message, and those that drivers/package.py puts together."""
    found = {match[1] or match[2] for text in string_constants(SOURCE) if (match := RULE.match(text))}
    makers = {"_error", "_warning", "make"}
    for node in ast.walk(ast.parse((SOURCE / "drivers" / "package.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers:
            assert isinstance(node.args[0], ast.Constant), "a rule id that this test cannot read"
            found.add(f"package.{node.args[0].value}")
    return found


def test_every_rule_is_listed_and_no_other() -> None:
    emitted = emitted_rules()
    assert {"package.no-inf", "package.malware", "account.no-ev-certificate", "signing.refused"} <= emitted
    assert {"label.ownership", "label.extension-inbox", "approval.rejected"} <= emitted
    of_labels = {each for each in emitted if each.startswith(("label.", "approval."))}
    for page, rules in (("package-rules.md", emitted - of_labels), ("label-rules.md", of_labels)):
        listed = rows((REFERENCE / page).read_text())
        assert all(len(row) == 4 and all(row) for row in listed), "a rule without meaning or remedy"
        assert sorted(row[0].strip("`") for row in listed) == sorted(rules)


def test_every_inf_code_is_listed_with_its_levels_and_whether_it_is_checked() -> None:
    """Where this fails: ``.venv/bin/python scripts/inf_rules_table.py``."""
    text = (REFERENCE / "inf-rules.md").read_text()
    listed = {int(row[0]): row[1:] for row in rows(text)}
    assert list(listed) == list(CODES)
    for number, code in CODES.items():
        levels = [level or "-" for level in (code.declarative, code.universal, code.windows)]
        checked = UNCHECKED.get(number, "inferred" if number in INFERRED else "yes")
        assert listed[number] == [code.slug, code.meaning, *levels, checked]
    judged, inferred = len(CODES) - len(UNCHECKED), len(INFERRED)
    assert f"Of {len(CODES)} documented codes, {judged} are judged, {inferred} of these" in text


def test_the_script_that_writes_the_table_of_inf_codes_writes_what_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = REFERENCE / "inf-rules.md"
    script = runpy.run_path(str(ROOT / "scripts" / "inf_rules_table.py"))
    copy = tmp_path / page.name
    copy.write_text(page.read_text("utf-8").replace("| inferred |", "| yes |"), "utf-8")
    monkeypatch.setitem(script["main"].__globals__, "PAGE", copy)
    script["main"]()
    assert copy.read_text("utf-8") == page.read_text("utf-8")


def test_every_finding_about_an_inf_that_is_no_number_is_listed() -> None:
    named = {text for text in string_constants(SOURCE / "drivers") if re.fullmatch(r"inf\.[a-z-]+", text)}
    assert named == set(re.findall(r"`(inf\.[a-z-]+)`", (REFERENCE / "inf-rules.md").read_text()))


def test_every_rule_of_offers_is_listed_in_its_order() -> None:
    listed = [tuple(row) for row in rows(sections(REFERENCE / "offers.md")["Rules"])]
    assert listed == [(f"`{rule.name}`", rule.source, rule.meaning) for rule in OFFER_RULES]


def test_every_property_of_the_machine_document_is_listed() -> None:
    section = sections(REFERENCE / "offers.md")["The machine document"]
    listed = {name for row in rows(section) for cell in row[:2] for name in CELL.findall(cell)}
    for model, prefix in (
        (MachineDocument, ""),
        (WindowsOfMachine, "os."),
        (Smbios, ""),
        (MachineDevice, ""),
        (InstalledDriver, "installed."),
        (InstalledExtension, ""),
    ):
        names = {f"{prefix}{field.alias}" for field in model.model_fields.values()} - {"os"}
        if model is MachineDevice:
            names.discard("installed")
        assert names <= listed, model


# Data folder and workflow


def test_every_file_of_a_new_service_is_listed(new_service: Settings) -> None:
    page = (REFERENCE / "data-folder.md").read_text()
    named = set(CELL.findall(page))
    unlisted = []
    for file in sorted(new_service.data.rglob("*")):
        path = file.relative_to(new_service.data)
        folders = {f"{each.as_posix()}/" for each in (path, *path.parents[:-1])}
        if path.parts[0] in ("keys", "secrets"):
            folders -= {"keys/", "secrets/"} if len(path.parts) > 1 else set()
        if path.as_posix() not in named and not folders & named:
            unlisted.append(path.as_posix())
    assert unlisted == []


def test_every_key_listed_is_made(new_service: Settings) -> None:
    page = sections(REFERENCE / "data-folder.md")
    named = {name for head in ("keys", "secrets") for row in rows(page[head]) for name in CELL.findall(row[0])}
    made_later = {"keys/signatures.log", "keys/records.pem"}
    assert {name for name in named - made_later if not (new_service.data / name).exists()} == set()


def test_the_workflow_page_lists_the_steps_in_order() -> None:
    listed = [row[0].strip("`") for row in rows((DOCS / "explanation" / "workflow.md").read_text())]
    assert listed[: len(SUBMISSION_STEPS)] == [str(step) for step in SUBMISSION_STEPS]


# Decisions


def test_each_claim_of_security_has_the_test_that_it_names_and_each_attack_has_a_claim() -> None:
    claimed = dict(row[:2] for row in rows(sections(ROOT / "SECURITY.md")["Claims, and the tests that attack them"]))
    named = {CELL.findall(test)[0]: claim for claim, test in claimed.items()}
    assert len(named) == len(claimed)
    for test in named:
        assert re.search(r"^def test_", (ROOT / test).read_text("utf-8"), re.MULTILINE), test
    attacks = {each.relative_to(ROOT).as_posix(): each for each in (ROOT / "tests" / "security").glob("test_*.py")}
    assert attacks.keys() - named.keys() == set()
    for test, file in attacks.items():
        assert (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").splitlines()[0] == named[test]


DECISIONS = sorted((DOCS / "adr").glob("*.md"))


def test_decisions_are_numbered_without_gaps_and_are_in_the_index() -> None:
    assert [page.name[:4] for page in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    index = (DOCS / "index.md").read_text()
    for page in DECISIONS:
        title = page.read_text().splitlines()[0].removeprefix("# ")
        assert f"[{title}](adr/{page.name})" in index


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_why_what_with_which_consequences_and_by_which_check(page: Path) -> None:
    assert list(sections(page)) == ["Context", "Decision", "Consequences", "Check"]


def test_every_dependency_has_a_line_and_every_line_a_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=\[]", each)[0] for each in project["dependencies"]}
    listed = [row[0] for row in rows((DOCS / "adr" / "0010-dependencies.md").read_text())]
    assert sorted(listed) == sorted(wanted)


def test_the_versions_told_of_the_dependencies_are_those_pinned() -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE))
    for row in rows((DOCS / "adr" / "0010-dependencies.md").read_text()):
        told = row[2].split(",")[0]
        assert f"{pinned[row[0]]}.".startswith(f"{told}."), row[0]


def test_the_sample_driver_is_built_reproducibly(tmp_path: Path) -> None:
    built = []
    for name in ("first", "second"):
        output = tmp_path / name / "hwdash_sample.sys"
        output.parent.mkdir()
        subprocess.run(["sh", str(ROOT / "examples/sample-driver/build.sh"), str(output)], check=True)
        built.append(output.read_bytes())
    assert built[0] == built[1]


# Links and names


LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_resolve(page: Path) -> None:
    for target in LINK.findall(prose(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT), target
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = (target.partition("#")[0] for target in LINK.findall(prose(page)) if "://" not in target)
        waiting += [(page.parent / target).resolve() for target in targets if target.endswith(".md")]
    assert {page for page in PAGES if page.is_relative_to(DOCS)} - reached == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_named_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:src|tests|docs|scripts|examples|bench)/[\w./-]+)`", prose(page)):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`((?:pipeline|server|wire|storage|drivers|signing|sdk|cli|domain)/\w+\.py)`", prose(page)):
        assert (SOURCE / name).exists(), name


def test_no_tracked_file_names_a_machine_or_a_registry() -> None:
    """Put together from halves, so that this file does not find itself."""
    wrong = re.compile(
        "|".join(
            [
                r"(?<![\w./])/" + r"(?:work|root)/",
                r"(?<![\w./])/" + r"home/\w+/",
                "py" + r"pi\.org",
                "python" + r"hosted\.org",
                "registry" + r"\.npmjs",
                "index" + "-url",
            ]
        )
    )
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    files = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    assert ROOT / "README.md" in files
    found = []
    for file in files:
        if file.is_file():
            text = file.read_bytes().decode("utf-8", errors="replace")
            found += [f"{file.relative_to(ROOT)}: {match[0]}" for match in wrong.finditer(text)]
    assert found == []
