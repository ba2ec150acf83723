"""``hwdash conformance``: does a service answer as the Hardware dashboard API does? Row by row, over HTTP."""

import dataclasses
import json
import os
import shutil
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from hwdash.cli.connection import Connection, load_connection, profile_option
from hwdash.cli.demo import COMPANY, run_hwdash, sample_driver, served, sign_package
from hwdash.cli.output import Exit, print_json, refuse, say
from hwdash.cli.package import build_cabinet, write_development_certificate
from hwdash.cli.sandbox_record import recorded, tell_differences
from hwdash.conformance.outcome import Result, Source
from hwdash.conformance.row import Row
from hwdash.conformance.rows import ROWS
from hwdash.conformance.stage import Stage
from hwdash.conformance.suite import Finding, creations, run
from hwdash.conformance.target import Application, Target
from hwdash.sdk.errors import AuthenticationError, TransportError

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)
WIDTH_WITHOUT_TERMINAL = 160
LOCAL_POLL_SECONDS = 0.2
DRIVERS_OF_LENGTHY = 40
EXTENSION_INF = """\
[Version]
Signature   = "$WINDOWS NT$"
Class       = Extension
ClassGuid   = {{e2f84ce7-8efa-411c-aa69-97454ca4cb57}}
ExtensionId = {{{extension_id}}}
Provider    = %Provider%
CatalogFile = extension.cat
DriverVer   = 06/02/2025,1.0.0.0
PnpLockdown = 1

[Manufacturer]
%Provider% = Models, NTamd64.10.0...16299

[Models.NTamd64.10.0...16299]
%Device% = Install, ROOT\\HWDASH_CONFORMANCE

[Install.NT]
AddReg = Registry

[Registry]
HKR,,Answer,0x00010001,42

[Strings]
Provider = "hwdash"
Device   = "hwdash conformance extension"
"""


@click.command()
@click.option("--url", help="The service's URL.")
@click.option("--authority", metavar="URL", help="Where tokens are asked for [the service's URL].")
@click.option("--tenant-id", help="The tenant of the application.")
@click.option("--client-id", help="An application that may submit.")
@click.option("--client-secret", help="Its secret.")
@click.option("--ca", type=EXISTING, help="The CA certificate of the service's TLS.")
@click.option("--second-client-id", help="An application of another account.")
@click.option("--second-client-secret", help="Its secret.")
@click.option("--second-tenant-id", help="Its tenant [that of the first].")
@click.option("--second-seller-id", type=click.IntRange(min=1), help="Its seller id: a driver is shared with it.")
@click.option("--foreign-chid", metavar="GUID", help="A CHID of another company, which this one may not target.")
@click.option("--reader-client-id", help="An application of the same account that may read and not submit.")
@click.option("--reader-client-secret", help="Its secret.")
@click.option("--package", type=EXISTING, help="A signed package that the account may submit for attestation.")
@click.option(
    "--certificate", type=EXISTING, help="PEM: a certificate the account has registered, to sign the sample driver."
)
@click.option("--key", type=EXISTING, help="PEM: its private key.")
@click.option(
    "--signature",
    default="WINDOWS_v100_X64_GE_FULL",
    show_default=True,
    metavar="OSCODE",
    help="The OS code that the package is submitted for.",
)
@click.option(
    "--recording",
    type=EXISTING,
    help="Compare with this recording (hwdash sandbox record) instead of the rows, answer by answer, field by field.",
)
@click.option("--row", "names", multiple=True, metavar="ID", help="Run this row only; give it once for each.")
@click.option("--poll", default=1.0, show_default=True, type=click.FloatRange(0.05, 600), help="Seconds between looks.")
@click.option(
    "--timeout",
    default=600.0,
    show_default=True,
    type=click.FloatRange(1),
    help="Seconds that a workflow may take.",
)
@click.option("--local", is_flag=True, help="Start a throwaway service on this machine and run against that.")
@click.option("--yes", is_flag=True, help="Create what the rows need without asking.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object.")
@profile_option
def conformance(
    url: str | None,
    authority: str | None,
    tenant_id: str | None,
    client_id: str | None,
    client_secret: str | None,
    ca: Path | None,
    second_client_id: str | None,
    second_client_secret: str | None,
    second_tenant_id: str | None,
    second_seller_id: int | None,
    foreign_chid: str | None,
    reader_client_id: str | None,
    reader_client_secret: str | None,
    package: Path | None,
    certificate: Path | None,
    key: Path | None,
    signature: str,
    recording: Path | None,
    names: tuple[str, ...],
    poll: float,
    timeout: float,
    local: bool,
    yes: bool,
    as_json: bool,
    profile: str | None,
) -> None:
    """Compare a service with the API's contract, row by row, from outside.

    Ends with 0 only when no row failed. Rows that need what was not given are "not applicable".
    """
    rows = _chosen(names)
    if recording and local:
        refuse("A recording is compared with a service that runs: give its --url, not --local.", Exit.USAGE)
    with tempfile.TemporaryDirectory(prefix="hwdash-conformance-") as made:
        folder = Path(made)
        if local:
            say("Starting a throwaway service ...")
            environment, target = make_local(folder)
            with served(environment, folder / "service.log") as address:
                target = dataclasses.replace(target, url=address, authority=address, timeout_seconds=timeout)
                findings = _run(target, rows)
        else:
            given = {
                "url": url,
                "authority": authority,
                "tenant_id": tenant_id,
                "client_id": client_id,
                "client_secret": client_secret,
                "ca": str(ca) if ca else None,
            }
            connection = _connected(profile, {name: value for name, value in given.items() if value})
            if recording:
                if not yes:
                    say(f"Every request of the recording is sent to {connection.url}: what it creates there stays.")
                    click.confirm("Send them?", abort=True, err=True)
                tell_differences(recorded(recording), connection, package, as_json=as_json)
                return
            target = dataclasses.replace(
                _target(connection),
                package=_package(folder, package, certificate, key),
                lengthy=_lengthy_package(folder, certificate, key) if certificate and key else None,
                extension=_extension_package(folder / "extension", certificate, key) if certificate and key else None,
                stranger=_sample_package(folder / "stranger") if _wanted(rows, "stranger") else None,
                signature=signature,
                poll_seconds=poll,
                timeout_seconds=timeout,
            )
            second_tenant = second_tenant_id or target.application.tenant_id
            target = dataclasses.replace(
                target,
                second=_application("second", second_tenant, second_client_id, second_client_secret),
                second_seller_id=second_seller_id,
                foreign_chid=foreign_chid,
                reader=_application("reader", target.application.tenant_id, reader_client_id, reader_client_secret),
            )
            if not yes:
                _ask(target)
            findings = _run(target, rows)
    _show(findings, as_json=as_json)
    if any(each.result is Result.FAIL for each in findings):
        raise click.exceptions.Exit(Exit.REFUSED)


def _chosen(names: Sequence[str]) -> list[Row]:
    known = {row.id for row in ROWS}
    unknown = [name for name in names if name not in known]
    if unknown:
        refuse(f"There is no row {', '.join(unknown)}; docs/reference/conformance.md lists them.", Exit.USAGE)
    return [row for row in ROWS if not names or row.id in names]


def _wanted(rows: Sequence[Row], workflow: str) -> bool:
    return any(row.waits == workflow for row in rows)


def _connected(profile: str | None, given: dict[str, str]) -> Connection:
    """The service of a profile or of the environment; what the options give counts before either."""
    environment = dict(os.environ) | {f"HWDASH_{name.upper()}": value for name, value in given.items()}
    found = dataclasses.replace(load_connection(profile, environment), **given)
    if "url" in given and "authority" not in given and not environment.get("HWDASH_AUTHORITY"):
        found = dataclasses.replace(found, authority=found.url)
    return found


def _target(found: Connection) -> Target:
    application = Application(found.tenant_id, found.client_id, found.client_secret)
    return Target(
        url=found.url.rstrip("/"), authority=found.authority.rstrip("/"), application=application, ca=found.ca
    )


def _application(which: str, tenant_id: str, client_id: str | None, secret: str | None) -> Application | None:
    if bool(client_id) != bool(secret):
        refuse(f"--{which}-client-id and --{which}-client-secret go together.", Exit.USAGE)
    return Application(tenant_id, client_id, secret) if client_id and secret else None


def _package(folder: Path, package: Path | None, certificate: Path | None, key: Path | None) -> Path | None:
    if bool(certificate) != bool(key) or (package and certificate):
        refuse("Give --package, or --certificate with --key, to have a package to submit.", Exit.USAGE)
    if certificate and key:
        return _sample_package(folder / "signed", certificate, key)
    return package


def _sample_package(folder: Path, certificate: Path | None = None, key: Path | None = None) -> Path:
    """The sample driver in a cabinet, signed by a certificate; without one, by a new one that nobody knows."""
    folder.mkdir()
    if certificate is None or key is None:
        certificate, key = write_development_certificate("Conformance Stranger", folder / "vendor")
    unsigned, package = folder / "unsigned.cab", folder / "sample.cab"
    build_cabinet((sample_driver(),), unsigned)
    sign_package(unsigned, package, certificate, key)
    return package


def _lengthy_package(folder: Path, certificate: Path, key: Path) -> Path:
    """The sample driver many times over."""
    copies = [folder / "lengthy" / f"hwdash_sample_{number:02}" for number in range(DRIVERS_OF_LENGTHY)]
    for each in copies:
        shutil.copytree(sample_driver(), each)
    unsigned, package = folder / "lengthy" / "unsigned.cab", folder / "lengthy" / "lengthy.cab"
    build_cabinet(tuple(copies), unsigned)
    sign_package(unsigned, package, certificate, key)
    return package


def _extension_package(folder: Path, certificate: Path, key: Path) -> Path:
    """A package with nothing but an extension INF of a new extension id."""
    (folder / "extension").mkdir(parents=True)
    (folder / "extension" / "extension.inf").write_text(EXTENSION_INF.format(extension_id=uuid.uuid4()), "utf-8")
    unsigned, package = folder / "unsigned.cab", folder / "extension.cab"
    build_cabinet((folder / "extension",), unsigned)
    sign_package(unsigned, package, certificate, key)
    return package


def make_local(folder: Path) -> tuple[dict[str, str], Target]:
    """A throwaway service with two accounts, a reader and a registered certificate: the environment to serve it in, and
    what the suite is given. Its URL is known once it is served.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HWDASH_")}
    environment["HWDASH_DATA"] = str(folder / "service")
    first = json.loads(run_hwdash(["init", "--json", "--account", COMPANY], environment))
    certificate, key = write_development_certificate(COMPANY, folder / "vendor")
    account = ["--account", str(first["accountId"])]
    other = json.loads(run_hwdash(["admin", "account", "create", "Second Vendor"], environment))
    run_hwdash(["admin", "certificate", "add", str(certificate), *account], environment)
    theirs = ["--account", str(other["id"])]
    second = json.loads(run_hwdash(["admin", "app", "create", "second", *theirs], environment))
    foreign_chid = str(uuid.uuid4())
    run_hwdash(["admin", "ownership", "add", "--chid", foreign_chid, *theirs], environment)
    run_hwdash(["admin", "account", "policy", "--ceilings", "on", "--co-engineering", "on", *theirs], environment)
    roles = ["--role", "Manager", "--role", "Report Reviewer"]
    reader = json.loads(run_hwdash(["admin", "app", "create", "reader", *account, *roles], environment))
    return environment, Target(
        url="",
        authority="",
        application=_made(first),
        second=_made(second),
        second_seller_id=int(other["id"]),
        foreign_chid=foreign_chid,
        reader=_made(reader),
        package=_sample_package(folder / "signed", certificate, key),
        lengthy=_lengthy_package(folder, certificate, key),
        extension=_extension_package(folder / "extension", certificate, key),
        stranger=_sample_package(folder / "stranger"),
        ca=first["caCertificate"],
        poll_seconds=LOCAL_POLL_SECONDS,
    )


def _made(document: dict[str, str]) -> Application:
    return Application(document["tenantId"], document["clientId"], document["clientSecret"])


def _ask(target: Target) -> None:
    planned = creations(target)
    say(
        f"The rows create, at {target.url}, at most {planned.products} products and {planned.submissions} submissions, "
        f'whose names begin with "hwdash conformance", {planned.labels} shipping labels for the audience of test '
        f"machines and for the second account, and {planned.preproduction_packages} preproduction package. "
        "Products and submissions cannot be deleted; at Microsoft's service they stay in your account for ever."
    )
    click.confirm("Create them?", abort=True, err=True)


def _run(target: Target, rows: Sequence[Row]) -> list[Finding]:
    stage = Stage(target)

    def told(finding: Finding) -> None:
        if finding.result is Result.FAIL:
            say(f"failed: {finding.row.id}")

    try:
        stage.caller.token()
        return run(stage, rows, told)
    except AuthenticationError as error:
        refuse(str(error), Exit.UNAUTHORISED)
    except TransportError as error:
        refuse(str(error), Exit.UNREACHABLE)
    finally:
        stage.close()


def _show(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {
                "id": each.row.id,
                "result": str(each.result),
                "why": each.why,
                "source": str(each.row.source),
                "title": each.row.title,
            }
            for each in findings
        ]
        print_json({"rows": rows})
        return
    _draw(findings)
    ours = [each for each in findings if each.row.source is Source.OURS]
    theirs = [each for each in findings if each.row.source is not Source.OURS]
    click.echo(f"documented or seen: {_counted(theirs)}")
    click.echo(f"our recommendation: {_counted(ours)}")


def _counted(findings: Sequence[Finding]) -> str:
    count = Counter(each.result for each in findings)
    return ", ".join(f"{count[result]} {result}" for result in Result)


def _draw(findings: Sequence[Finding]) -> None:
    from rich.console import Console  # noqa: PLC0415 - drawing is its only use
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    colours = {Result.PASS: "green", Result.FAIL: "bold red", Result.NOT_APPLICABLE: "yellow"}
    table = Table("row", "source", "result", "what, and why not")
    table.columns[0].no_wrap = True
    for each in findings:
        told = f"{each.row.title}\n{each.why}" if each.why else each.row.title
        table.add_row(
            Text(each.row.id), Text(str(each.row.source)), Text(str(each.result), colours[each.result]), Text(told)
        )
    Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL).print(table)
