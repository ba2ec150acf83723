"""``hwdash product`` and ``hwdash audience`` against a real service."""

import json
from pathlib import Path

import pytest

from service import API, X64, ApiClient, Served
from submitter import Submitter

SERVER = "WINDOWS_v100_SERVER_X64_GE_FULL"


@pytest.fixture
def terminal(service: Served, tmp_path: Path) -> Submitter:
    return Submitter(service, tmp_path)


def test_a_product_is_made_shown_changed_and_listed(terminal: Submitter, client: ApiClient) -> None:
    made = terminal.run(
        "product", "create", "--name", "By command", "--signature", X64, "--marketing-name", "One", "--json"
    )
    assert made.code == 0, made.err
    product = made.document
    assert (product["testHarness"], product["marketingNames"]) == ("attestation", ["One"])
    assert product == client.http.get(f"{API}/products/{product['id']}").json()

    early = terminal.run("product", "update", str(product["id"]), "--name", "Other")
    assert (early.code, "no initial submission" in early.err) == (1, True)
    client.create_submission(product["id"])
    changed = terminal.run(
        *("product", "update", str(product["id"]), "--name", "Other", "--marketing-name", "Two", "--json"),
        *("--announcement-date", "2031-05-06"),
    )
    assert (changed.document["productName"], changed.document["marketingNames"]) == ("Other", ["Two"])
    assert changed.document["announcementDate"] == "2031-05-06T00:00:00Z"
    shown = terminal.run("product", "show", str(product["id"]))
    lines = dict(line.split(maxsplit=1) for line in shown.out.splitlines() if len(line.split()) > 1)
    assert (lines["productName"], lines["id"]) == ("Other", str(product["id"]))

    listed = terminal.run("product", "list").out.splitlines()
    assert listed[0].split("\t")[:2] == ["id", "productName"]
    assert f"{product['id']}\tOther\tattestation\tFalse" in "\n".join(listed)


def test_the_list_is_the_wires_own_collection(terminal: Submitter, client: ApiClient) -> None:
    assert terminal.run("product", "list", "--json").document == client.http.get(f"{API}/products").json()
    assert terminal.run("audience", "list", "--json").document == client.http.get(f"{API}/audiences").json()
    assert "Test_Registry_Key" in terminal.run("audience", "list").out


def test_a_product_comes_from_a_file_and_options_win(terminal: Submitter, tmp_path: Path) -> None:
    file = tmp_path / "product.json"
    file.write_text(json.dumps({"ProductName": "From file", "requestedSignatures": [SERVER], "deviceType": "external"}))
    made = terminal.run("product", "create", "--file", str(file), "--name", "Mine", "--test-sign", "--json").document
    assert (made["productName"], made["deviceType"], made["isTestSign"]) == ("Mine", "external", True)
    assert made["requestedSignatures"] == [SERVER]
    for content in ("[]", "{"):
        file.write_text(content)
        ran = terminal.run("product", "create", "--file", str(file))
        assert (ran.code, "product.json" in ran.err) == (2, True)


def test_a_product_that_will_not_do_warns_its_maker(terminal: Submitter) -> None:
    made = terminal.run("product", "create", "--name", "n", "--signature", SERVER)
    assert (made.code, "warning:" in made.err) == (0, True)
    assert f"{SERVER} cannot be had by attestation" in made.err


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "said"),
    [
        (["product", "create", "--name", "n", "--signature", "NO_SUCH"], {}, 1, "requestedSignatures"),
        (["product", "show", "10000000000000010"], {}, 1, "entityNotFound"),
        (["submission", "show", "10000000000000010", "5"], {}, 1, "entityNotFound"),
        (["product", "show", "x"], {}, 2, "x"),
        (["submission", "download", "1", "2", "--type", "no"], {}, 2, "signedPackage"),
        (["product", "list"], {"HWDASH_URL": "https://localhost:1"}, 3, "localhost:1"),
        (["product", "list"], {"HWDASH_CLIENT_SECRET": "wrong"}, 4, "AADSTS7000215"),
        (["audience", "list"], {"HWDASH_URL": ""}, 2, "HWDASH_URL"),
    ],
)
def test_errors_end_in_a_sentence_and_their_exit_code(
    terminal: Submitter, arguments: list[str], environment: dict[str, str], code: int, said: str
) -> None:
    ran = terminal.run(*arguments, **environment)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
