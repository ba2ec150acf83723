"""What a real signer refused comes into the audit log once, whenever the service was started again."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hwdash.server.signer_refusals import take_refusals
from hwdash.signing.authority import ensure_authority
from hwdash.signing.errors import SigningRefused
from hwdash.signing.keys import KeyFolder
from hwdash.signing.process import SignerProcess
from hwdash.signing.signature_log import LOG_FILE
from hwdash.storage.audit import find_entries, seal
from hwdash.storage.database import Database


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[SignerProcess]:
    keys = KeyFolder.open(tmp_path / "keys", {})
    ensure_authority(keys, datetime.now(UTC), sandbox=True)
    with SignerProcess.start(keys.path, environment={}) as process:
        yield process


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(f"sqlite:///{tmp_path / 'hwdash.db'}")) as made:
        made.create()
        yield made


def refused(signer: SignerProcess, **document: Any) -> None:
    with pytest.raises(SigningRefused):
        signer._asked(document)


def entries(database: Database) -> list[dict[str, Any]]:
    with database.writing() as connection:
        seal(connection)
        found = find_entries(connection, action="sign_refused")
    return [
        {"account": each.act.account_id, "object": each.act.object_id, **json.loads(each.act.details)} for each in found
    ]


def test_each_refusal_is_one_entry(signer: SignerProcess, database: Database) -> None:
    refused(signer, submissionId=7, accountId=12, identity="whql", secret="x" * 5000)
    end = take_refusals(database, signer, None)
    assert take_refusals(database, signer, end) == end
    refused(signer, anything=[])
    end = take_refusals(database, signer, end)
    first, second = entries(database)
    assert (first["account"], first["object"], first["accountId"], first["identity"]) == (0, "7", 12, "whql")
    assert first["reasons"] == ["the request has not the form of a signing request"]
    assert "x" * 100 not in str(first)
    assert second["object"] == "0"
    # As after a start: the audit log tells how far the signer's was read, sealed or not.
    assert take_refusals(database, signer, None) == end
    refused(signer, anything=[])
    assert take_refusals(database, signer, None) > end
    take_refusals(database, signer, None)
    assert len(entries(database)) == 3


def test_a_new_log_is_read_from_its_beginning(signer: SignerProcess, database: Database, tmp_path: Path) -> None:
    refused(signer, submissionId=7)
    end = take_refusals(database, signer, None)
    (tmp_path / "keys" / LOG_FILE).write_text("no JSON\n[]\n")
    refused(signer, submissionId=8)
    again = take_refusals(database, signer, end + 100)
    assert again == (tmp_path / "keys" / LOG_FILE).stat().st_size
    assert [each["object"] for each in entries(database)] == ["7", "8"]
