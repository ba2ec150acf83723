"""No release is signed without officers who did not submit it, whoever holds a submitter or the database.

The first half attacks the signer with words of officers that were forged, moved, replayed or given twice. The second
attacks a running service as a thief would who has a submitter's secret, with every role, and the vendor's certificate.
"""

import json
import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callers import database_of
from examined import examined
from hwdash.clock import system_clock
from hwdash.pipeline.engine import WorkflowQueue
from hwdash.pipeline.submission import SUBMISSION
from hwdash.signing.authority import ensure_authority
from hwdash.signing.errors import SigningRefused
from hwdash.signing.keys import KeyFolder
from hwdash.signing.officers import DualControl, Policy
from hwdash.signing.process import SignerProcess
from hwdash.signing.release import Release, ReleaseControl, approval, approvals_needed
from hwdash.signing.signer import (
    REQUIRED_STEPS,
    SPC_INDIRECT_DATA,
    Content,
    LocalSigner,
    SigningRecord,
    SigningRequest,
)
from hwdash.vocabulary import Role
from officers import Appointed, Person, appoint, appointed
from service import ApiClient, Served, download_url, hwdash, make_service, serve, signed_cabinet, until
from wire_routes import TABLE

SUBMITTER = "11111111-2222-3333-4444-555555555555"
ANN, BOB, SUE = Person("Ann"), Person("Bob"), Person("Sue", [SUBMITTER])
RECORD = SigningRecord(7, 2, 3, "ab" * 32, dict.fromkeys(REQUIRED_STEPS, "cd" * 32), "", (SUBMITTER,))


@dataclass
class Guarded:
    """A signer with three officers, of whom Sue submits, under a policy of two approvals."""

    keys: KeyFolder
    process: SignerProcess
    control: DualControl
    service: str

    def word(self, person: Person, *, release: Release | None = None, **said: Any) -> str:
        """An officer's approval of RECORD, as they would sign it."""
        wanted = {"reason": "tested", "when": system_clock(), "service": self.service} | said
        return approval(self.control, person.name, person.key, release or RECORD.release("attestation"), **wanted)

    def ask(self, record: SigningRecord, identity: str = "attestation") -> None:
        content = Content(SPC_INDIRECT_DATA, bytes(32))
        request = SigningRequest(identity, (content,), "Contoso", "", system_clock(), record)
        self.process.sign(examined(self.keys, request))

    def refused(self, *approvals: str, identity: str = "attestation", **record: Any) -> list[str]:
        """Why the signer does not sign."""
        with pytest.raises(SigningRefused) as refusal:
            self.ask(replace(RECORD, approvals=approvals, **record), identity)
        return list(refusal.value.reasons)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    keys = KeyFolder.open(tmp_path_factory.mktemp("guarded") / "keys", {})
    ensure_authority(keys, system_clock(), key_size=2048)
    control = appointed(DualControl.read(keys.path), ANN, BOB, SUE).with_policy(Policy(release=2))
    control.write(keys.path)
    service = LocalSigner(keys, system_clock).releases.service
    with SignerProcess.start(keys.path, environment={}) as process:
        yield Guarded(keys, process, control, service)


def test_two_officers_release_what_they_approved(guarded: Guarded) -> None:
    guarded.ask(replace(RECORD, approvals=(guarded.word(ANN), guarded.word(BOB))))


@pytest.mark.parametrize("identity", ["attestation", "whql"])
def test_nobodys_approval_releases_nothing(guarded: Guarded, identity: str) -> None:
    (reason,) = guarded.refused(identity=identity)
    assert reason == (
        f"a signature as {identity} needs the approval of 2 officers who did not submit the package, and has 0"
    )


@pytest.mark.parametrize("identity", ["test", "flight"])
def test_what_is_no_release_needs_none(guarded: Guarded, identity: str) -> None:
    guarded.ask(RECORD, identity)


def test_one_officer_who_approves_twice_is_one(guarded: Guarded) -> None:
    words = guarded.word(ANN), guarded.word(ANN, reason="again")
    assert "has 1: Ann" in guarded.refused(*words)[0]
    assert "has 1: Ann" in guarded.refused(words[0], words[0])[0]


def moved(word: str, **members: Any) -> str:
    return json.dumps(json.loads(word) | members)


def resigned(guarded: Guarded, word: str, key: Ed25519PrivateKey) -> str:
    """Ann's word, with another key's signature under her key id."""
    stranger = Person("Ann", key=key)
    control = appointed(DualControl(Policy(), {}), stranger)
    forged = json.loads(approval(
        control, "Ann", key, RECORD.release("attestation"), guarded.service, reason="", when=system_clock()
    ))  # fmt: skip
    signatures = [{**forged["signatures"][0], "keyid": json.loads(word)["signatures"][0]["keyid"]}]
    return json.dumps(forged | {"signatures": signatures})


OTHERS: dict[str, Callable[[Release], Release]] = {
    "another submission": lambda release: replace(release, submission_id=8),
    "another product": lambda release: replace(release, product_id=9),
    "another account": lambda release: replace(release, account_id=9),
    "another package": lambda release: replace(release, package_sha256="ef" * 32),
    "another identity": lambda release: replace(release, identity="whql"),
    "other submitters": lambda release: replace(release, submitters=("somebody",)),
}
FORGED: dict[str, Callable[[Guarded, str], str]] = {
    **{
        name: lambda guarded, _, other=other: guarded.word(ANN, release=other(RECORD.release("attestation")))
        for name, other in OTHERS.items()
    },
    "another service": lambda guarded, _: guarded.word(ANN, service="00" * 32),
    "a stranger's key": lambda guarded, word: resigned(guarded, word, Ed25519PrivateKey.generate()),
    "another officer's key": lambda guarded, word: resigned(guarded, word, BOB.key),
    "another payload": lambda guarded, word: moved(word, payload=json.loads(guarded.word(BOB))["payload"]),
    "another type": lambda guarded, word: moved(word, payloadType="application/json"),
    "no signature": lambda _, word: moved(word, signatures=[]),
    "two signatures": lambda _, word: moved(word, signatures=json.loads(word)["signatures"] * 2),
    "an empty word": lambda *_: "",
    "a name": lambda *_: "Ann",
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_or_moved_approval_counts_for_nothing(guarded: Guarded, forged: str) -> None:
    words = FORGED[forged](guarded, guarded.word(ANN)), guarded.word(BOB)
    reasons = guarded.refused(*words)
    assert "has 1: Bob" in reasons[0]
    assert reasons[1].startswith("an approval does not count: ")


def test_an_officer_who_submitted_it_approves_nothing_of_it(guarded: Guarded) -> None:
    # Sue signs at home, with a program of her own that asks nobody.
    innocent = appointed(DualControl(Policy(), {}), replace(SUE, submits_as=()))
    word = approval(
        innocent, "Sue", SUE.key, RECORD.release("attestation"), guarded.service, reason="", when=system_clock()
    )  # fmt: skip
    reasons = guarded.refused(word, guarded.word(BOB))
    assert "has 1: Bob" in reasons[0]
    assert "Sue submitted the package, and so cannot approve it" in reasons[1]


def test_leaving_out_who_submitted_helps_nobody(guarded: Guarded) -> None:
    words = guarded.word(ANN), guarded.word(BOB)
    assert "submitters differ" in guarded.refused(*words, submitters=())[1]
    assert "submitters differ" in guarded.refused(*words, submitters=("somebody",))[1]


def test_who_was_removed_counts_no_more_at_once(guarded: Guarded) -> None:
    words = guarded.word(ANN), guarded.word(BOB)
    guarded.control.with_officer(Person("Cy").officer).without_officer("Ann").write(guarded.keys.path)
    try:
        reasons = guarded.refused(*words)
    finally:
        guarded.control.write(guarded.keys.path)
    assert "has 1: Bob" in reasons[0]
    assert "who was removed" in reasons[1]


@pytest.mark.parametrize("name", ["officers.json", "policy.json"])
def test_a_file_that_cannot_be_read_releases_nothing(guarded: Guarded, name: str) -> None:
    file = guarded.keys.path / name
    kept = file.read_bytes()
    file.write_bytes(kept[:-10])
    try:
        with pytest.raises(Exception, match="restore the file"):
            guarded.ask(replace(RECORD, approvals=(guarded.word(ANN), guarded.word(BOB))))
    finally:
        file.write_bytes(kept)


def test_broken_glass_is_one_officer_who_did_not_submit_it_and_is_logged(guarded: Guarded) -> None:
    word = guarded.word(ANN, break_glass=True)
    guarded.ask(replace(RECORD, submission_id=7, approvals=(word,)))
    *_, line = (guarded.keys.path / "signatures.log").read_text().splitlines()
    assert json.loads(line)["breakGlass"] == "Ann"
    guarded.ask(replace(RECORD, approvals=(word, guarded.word(BOB))))
    *_, line = (guarded.keys.path / "signatures.log").read_text().splitlines()
    assert "breakGlass" not in json.loads(line), "two approved it: nobody did it alone"
    innocent = appointed(DualControl(Policy(), {}), replace(SUE, submits_as=()))
    release, given = RECORD.release("attestation"), {"reason": "", "when": system_clock(), "break_glass": True}
    by_sue = approval(innocent, "Sue", SUE.key, release, guarded.service, **given)  # type: ignore[arg-type]
    assert "has 0" in guarded.refused(by_sue)[0]


def test_broken_glass_counts_for_nothing_where_the_policy_forbids_it(guarded: Guarded) -> None:
    word = guarded.word(ANN, break_glass=True)
    replace(guarded.control, policy=Policy(release=2, break_glass=False)).write(guarded.keys.path)
    try:
        assert "which the policy forbids" in guarded.refused(word)[1]
    finally:
        guarded.control.write(guarded.keys.path)


def test_the_policy_that_stands_beside_the_key_cannot_be_told_otherwise(guarded: Guarded) -> None:
    """All that a taken-over worker says about approvals stands in the record."""
    decided = ReleaseControl(guarded.keys.path, guarded.service).judge(RECORD.release("attestation"), ())
    assert decided.needed == 2
    asked = guarded.process.dual_control()
    assert asked == guarded.control
    assert [approvals_needed(asked, identity) for identity in ("attestation", "whql", "test")] == [2, 2, 0]


# --- A running service


@dataclass
class Robbed:
    """A service under a policy of two approvals, one of whose submitters was stolen; Sue, an officer, owned it."""

    served: Served
    folder: Path
    thief: ApiClient
    ann: Appointed
    bob: Appointed
    sue: Appointed

    @property
    def environment(self) -> dict[str, str]:
        return self.served.made.environment

    def submitted(self) -> dict[str, Any]:
        """A package of the thief's, signed with the vendor's certificate, up to the review."""
        submission = self.thief.create_submission(self.thief.create_product()["id"])
        assert self.thief.upload(submission, signed_cabinet(self.folder, self.served.made.vendor)).status_code == 201
        assert self.thief.commit(submission).status_code == 202
        until(lambda: self.stands_at(submission) == "manualReview", "it does not come to its review")
        return submission

    def stands_at(self, submission: dict[str, Any]) -> str:
        return str(self.thief.get_submission(submission)["workflowStatus"]["currentStep"])

    def released(self, submission: dict[str, Any]) -> list[Any]:
        """The release signatures for it in the signer's own log."""
        lines = (self.served.made.data / "keys" / "signatures.log").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        return [
            each
            for each in entries
            if "refused" not in each
            and each["submissionId"] == submission["id"]
            and each["identity"] in ("attestation", "whql")
        ]

    def evidence(self, done: dict[str, Any]) -> str:
        """What hwdash verify tells of a finished submission."""
        path = f"/v2.0/my/hardware/products/{done['productId']}/submissions/{done['id']}/provenance"
        package, statement = self.folder / "signed.zip", self.folder / "signed.intoto.json"
        url = download_url(done, "signedPackage")
        package.write_bytes(self.thief.http.get(url, headers={"Authorization": ""}).content)
        statement.write_bytes(self.thief.http.get(path).raise_for_status().content)
        root = str(self.served.made.root_certificate)
        words = ("verify", str(package), "--provenance", str(statement), "--root", root)
        return hwdash(*words, environment=self.environment)

    def approve(self, submission: dict[str, Any], officer: Sequence[str]) -> str:
        words = ("admin", "review", "approve", str(submission["id"]))
        return hwdash(*words, *officer, environment=self.environment)


@pytest.fixture(scope="module")
def robbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Robbed]:
    folder = tmp_path_factory.mktemp("robbed")
    made = make_service(folder)
    environment = made.environment
    roles = [word for role in Role for word in ("--role", str(role))]
    stolen = json.loads(hwdash("admin", "app", "create", "Stolen", *roles, environment=environment))
    ann, bob = (appoint(name, folder, environment) for name in ("ann", "bob"))
    sue = appoint("sue", folder, environment, "--submits-as", stolen["clientId"])
    hwdash("admin", "officer", "policy", "--release", "2", environment=environment)
    with serve(made) as served:
        credentials = made.credentials["caCertificate"], stolen["tenantId"], stolen["clientId"], stolen["clientSecret"]
        yield Robbed(served, folder, ApiClient(served.url, *credentials), ann, bob, sue)


def test_nothing_that_the_api_offers_gets_a_release_past_the_officers(robbed: Robbed) -> None:
    submission = robbed.submitted()
    ids = {
        "product": submission["productId"],
        "submission": submission["id"],
        "seller": robbed.served.made.credentials["accountId"],
    }
    for (method, path), row in sorted(TABLE.items()):
        url = re.sub(r"\{(\w+)\}", lambda found: str(ids.get(found[1], 1)), path)
        for body in (row.body, {"currentStep": "signing", "state": "started", "approvals": ["ann", "bob"]}):
            answer = robbed.thief.http.request(method, url, json=body, headers={"MS-RequestId": str(uuid.uuid4())})
            assert answer.status_code < 500
    assert robbed.stands_at(submission) == "manualReview"
    offered = {each["type"] for each in robbed.thief.get_submission(submission)["downloads"]["items"]}
    assert "signedPackage" not in offered
    assert robbed.released(submission) == []


def test_a_stolen_submitter_who_is_an_officer_gets_no_further(robbed: Robbed) -> None:
    submission = robbed.submitted()
    with pytest.raises(AssertionError, match="sue submitted the package, and so cannot approve it"):
        robbed.approve(submission, robbed.sue.words)
    with pytest.raises(AssertionError, match="needs the approval of 2 officers: say who you are"):
        robbed.approve(submission, ("--by", "ann"))
    with pytest.raises(AssertionError, match="the key is not the one of officer ann"):
        robbed.approve(submission, ("--officer", "ann", "--key", str(robbed.sue.file)))
    for _ in range(2):
        assert "1 of 2 officers: ann" in robbed.approve(submission, robbed.ann.words)
    assert robbed.stands_at(submission) == "manualReview"
    assert robbed.released(submission) == []


def test_two_officers_release_it_and_the_evidence_names_them(robbed: Robbed) -> None:
    submission = robbed.submitted()
    robbed.approve(submission, robbed.ann.words)
    robbed.approve(submission, robbed.bob.words)
    done = robbed.thief.finished(submission)
    assert done["workflowStatus"]["state"] == "completed", done
    assert robbed.released(submission)
    assert "approved by ann, bob" in robbed.evidence(done)


def test_broken_glass_releases_it_and_everybody_is_told(robbed: Robbed) -> None:
    submission = robbed.submitted()
    reason = "the only other officer cannot be reached"
    with pytest.raises(AssertionError, match="give a --reason"):
        robbed.approve(submission, (*robbed.ann.words, "--break-glass"))
    with pytest.raises(AssertionError, match="sue submitted the package"):
        robbed.approve(submission, (*robbed.sue.words, "--break-glass", "--reason", reason))
    robbed.approve(submission, (*robbed.ann.words, "--break-glass", "--reason", reason))
    done = robbed.thief.finished(submission)
    assert done["workflowStatus"]["state"] == "completed", done
    assert "BREAK-GLASS: ann released it alone, 2 were needed" in robbed.evidence(done)
    assert {each["breakGlass"] for each in robbed.released(submission)} == {"ann"}
    log = robbed.served.log
    told = f"release of submission {submission['id']}: {reason}"
    until(lambda: told in log.read_text(), "the service does not tell of it")
    critical = [line for line in log.read_text().splitlines() if " CRITICAL " in line]
    assert any("ann broke the glass" in line and told in line for line in critical)
    assert any(f"submission {submission['id']} is signed by broken glass: ann" in line for line in critical)
    words = ("admin", "audit", "list", "--action", "break_glass", "--json")
    (entry,) = json.loads(hwdash(*words, environment=robbed.environment))["entries"]
    assert (entry["details"]["officer"], entry["details"]["reason"]) == ("ann", reason)


def test_an_officer_approves_the_package_that_they_looked_at_and_no_other(robbed: Robbed) -> None:
    """Whoever writes to the database shows the officers another package in its place."""
    submission = robbed.submitted()
    words = ("admin", "review", "list", "--json")
    listed = json.loads(hwdash(*words, environment=robbed.environment))["submissions"]
    (digest,) = (each["packageDigest"] for each in listed if each["submissionId"] == submission["id"])
    with sqlite3.connect(robbed.served.made.data / "hwdash.db") as database:
        database.execute(
            "UPDATE submission_steps SET result = json_set(result, '$.packageDigest', ?) "
            "WHERE submission_id = ? AND step = 'packageInfoValidation'",
            ("ef" * 32, submission["id"]),
        )
    with pytest.raises(AssertionError, match="it is another one"):
        robbed.approve(submission, (*robbed.ann.words, "--package-digest", digest))
    assert "1 of 2 officers: bob" in robbed.approve(submission, robbed.bob.words)


def test_the_database_alone_releases_nothing(robbed: Robbed) -> None:
    """An operator writes the rows of a finished review by hand, and lets the workflow go on."""
    approved, wanted = robbed.submitted(), robbed.submitted()
    robbed.approve(approved, robbed.ann.words)
    with sqlite3.connect(robbed.served.made.data / "hwdash.db") as database:
        # What ann said about another package, in ann's name and in bob's.
        database.execute(
            "INSERT INTO release_approvals SELECT ?, 'ann', word, approved_at FROM release_approvals "
            "WHERE submission_id = ?",
            (wanted["id"], approved["id"]),
        )
        (word,) = database.execute(
            "SELECT word FROM release_approvals WHERE submission_id = ?", (wanted["id"],)
        ).fetchone()
        result = {"decision": "approved", "by": "ann, bob", "reason": "", "when": "2026-11-28T00:00:00+00:00"}
        database.execute(
            "INSERT INTO submission_steps (submission_id, step, result, finished_at) VALUES (?, 'manualReview', ?, ?)",
            (wanted["id"], json.dumps(result | {"approvals": [word, word]}), "2026-11-28 00:00:00.000000"),
        )
        database.execute("UPDATE submissions SET current_step = 'signing' WHERE id = ?", (wanted["id"],))
        database.execute('UPDATE accounts SET policy = \'{"manualReview": false, "release": 0}\'')
    with database_of(robbed.served) as database, database.writing() as connection:
        WorkflowQueue(database).enqueue(connection, SUBMISSION, wanted["id"], "by hand")
    status = robbed.thief.finished(wanted)["workflowStatus"]
    assert (status["currentStep"], status["state"]) == ("signing", "failed")
    assert "needs the approval of 2 officers who did not submit the package, and has 0" in status["messages"][0]
    assert robbed.released(wanted) == []
