"""``hwdash admin measure``: what machines with a published driver report."""

import json
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa
from pydantic import ValidationError

from hwdash.cli.admin_decisions import decision, decision_told
from hwdash.cli.admin_options import BY, FILE, findings_told, transaction
from hwdash.cli.output import Exit, json_option, print_json, print_table, refuse
from hwdash.cli.service_options import data_option
from hwdash.domain.measures import MeasureResult
from hwdash.pipeline.measures import record, recorded
from hwdash.pipeline.rollout_wishes import NotRollingOut
from hwdash.server.errors import invalid_input
from hwdash.wire.measures import MeasuredResults

COLUMNS = ["measureId", "name", "value", "population", "passesWith", "verdict"]


@click.group()
def measure() -> None:
    """What machines with a published driver report, as pass or fail."""


@measure.command("record")
@click.argument("label_id", type=int)
@FILE
@BY
@json_option
@data_option
def record_results(label_id: int, file: Path, by: str | None, as_json: bool, data: Path | None) -> None:
    """Keep the results in FILE, JSON, for LABEL_ID; a failure pauses its rollout, where the policy says so."""
    with findings_told(), decision_told(NotRollingOut), transaction(data) as connection:
        is_paused = record(connection, label_id, _read(file).results, decision(by, ""))
        found = [_document(*each) for each in recorded(connection, label_id)]
    if as_json:
        print_json({"labelId": label_id, "results": found, "paused": is_paused})
        return
    print_table(COLUMNS, found)
    if is_paused:
        click.echo(f"the rollout of shipping label {label_id} is paused")


@measure.command("list")
@click.argument("label_id", type=int)
@json_option
@data_option
def list_results(label_id: int, as_json: bool, data: Path | None) -> None:
    """List what was recorded for LABEL_ID, as it is distributed now."""
    with decision_told(NotRollingOut), transaction(data) as connection:
        found = [_document(*each) for each in recorded(connection, label_id)]
    if as_json:
        print_json({"labelId": label_id, "results": found})
    else:
        print_table(COLUMNS, found)


def _read(file: Path) -> MeasuredResults:
    try:
        return MeasuredResults.from_wire(json.loads(file.read_bytes()))
    except ValidationError as error:
        raise invalid_input(error) from None
    except (ValueError, RecursionError) as error:
        refuse(f"{file} is not JSON: {error}", Exit.USAGE)


def _document(result: MeasureResult, row: sa.Row[Any]) -> dict[str, Any]:
    return {
        "measureId": result.measure.id,
        "name": result.measure.name,
        "value": result.value,
        "population": result.population,
        "minimum": result.measure.minimum,
        "passesWith": result.measure.criterion,
        "verdict": result.verdict,
        "recordedBy": row.recorded_by,
        "recordedAt": row.recorded_at.isoformat(),
    }
