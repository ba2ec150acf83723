"""``hwdash product``: the products of the account."""

import json
from typing import IO, Any

import click

from hwdash.cli.connection import profile_option
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse, say
from hwdash.cli.remote import connected, print_object

COLUMNS = ["id", "productName", "testHarness", "isCommitted", "createdDateTime"]


@click.group()
def product() -> None:
    """The products of the account."""


PRODUCT_ID = click.argument("product_id", type=click.IntRange(min=1))


@product.command("list")
@json_option
@profile_option
def list_products(as_json: bool, profile: str | None) -> None:
    """List the products, newest first."""
    with connected(profile) as client:
        found = client.collection("products")
    if as_json:
        print_json(found)
    else:
        print_table(COLUMNS, [{name: each.get(name) for name in COLUMNS} for each in found["value"]])


@product.command()
@PRODUCT_ID
@json_option
@profile_option
def show(product_id: int, as_json: bool, profile: str | None) -> None:
    """Show the product PRODUCT_ID."""
    with connected(profile) as client:
        document = client.document(f"products/{product_id}")
    _print(document, as_json)


@product.command()
@click.option("--name", help="The product's name.")
@click.option("--harness", help="How it was tested: Attestation, HLK or HCK [Attestation].")
@click.option("--signature", "signatures", multiple=True, metavar="OSCODE", help="An OS code; once for each.")
@click.option("--test-sign", is_flag=True, help="Ask for a test signature.")
@click.option("--flight-sign", is_flag=True, help="Ask for a flight signature.")
@click.option("--marketing-name", "marketing_names", multiple=True, help="A marketing name; once for each.")
@click.option("--announcement-date", metavar="DATE", help="When it is listed, such as 2027-01-31.")
@click.option(
    "--file", type=click.File(encoding="utf-8"), help="A JSON object with any properties of a product; - is the input."
)
@json_option
@profile_option
def create(
    name: str | None,
    harness: str | None,
    signatures: tuple[str, ...],
    test_sign: bool,
    flight_sign: bool,
    marketing_names: tuple[str, ...],
    announcement_date: str | None,
    file: IO[str] | None,
    as_json: bool,
    profile: str | None,
) -> None:
    """Create a product. Options win over the properties in the file. A product cannot be deleted."""
    wanted = {"testHarness": "Attestation"} | _properties(file) | _given(name, marketing_names, announcement_date)
    if harness is not None:
        wanted["testHarness"] = harness
    if signatures:
        wanted["requestedSignatures"] = list(signatures)
    if test_sign:
        wanted["isTestSign"] = True
    if flight_sign:
        wanted["isFlightSign"] = True
    with connected(profile) as client:
        document = client.document(f"products/{client.create_product(wanted).id}")
    if document.get("message"):
        say(f"warning: {document['message']}")
    _print(document, as_json)


@product.command()
@PRODUCT_ID
@click.option("--name", help="Another name.")
@click.option(
    "--marketing-name", "marketing_names", multiple=True, help="A marketing name; those that are given replace all."
)
@click.option("--announcement-date", metavar="DATE", help="Another announcement date, such as 2027-01-31.")
@json_option
@profile_option
def update(
    product_id: int,
    name: str | None,
    marketing_names: tuple[str, ...],
    announcement_date: str | None,
    as_json: bool,
    profile: str | None,
) -> None:
    """Change the product PRODUCT_ID."""
    with connected(profile) as client:
        client.update_product(product_id, _given(name, marketing_names, announcement_date))
        document = client.document(f"products/{product_id}")
    _print(document, as_json)


def _given(name: str | None, marketing_names: tuple[str, ...], announcement_date: str | None) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if name is not None:
        given["productName"] = name
    if marketing_names:
        given["marketingNames"] = list(marketing_names)
    if announcement_date is not None:
        given["announcementDate"] = announcement_date
    return given


def _properties(file: IO[str] | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        value = json.load(file)
    except ValueError as error:
        refuse(f"{file.name} is not JSON: {error}", Exit.USAGE)
    if not isinstance(value, dict):
        refuse(f"{file.name} must hold a JSON object.", Exit.USAGE)
    # Options are told by the wire's spelling.
    known = ("productName", "testHarness", "requestedSignatures", "isTestSign", "isFlightSign", "marketingNames")
    spelt = {each.casefold(): each for each in (*known, "announcementDate")}
    properties: dict[str, Any] = value
    return {spelt.get(key.casefold(), key): each for key, each in properties.items()}


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
    else:
        print_object(document)
