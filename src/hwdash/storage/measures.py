"""Queries over the measured results of shipping labels."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.measures import Measure, MeasureResult
from hwdash.storage.label_tables import label_measures


def keep_results(
    connection: sa.Connection, label: sa.Row[Any], results: Sequence[MeasureResult], *, by: str, now: datetime
) -> None:
    """Store results of the label's run, in the place of earlier ones of the same measures."""
    table = label_measures.c
    ids = [each.measure.id for each in results]
    which = (table.label_id == label.id) & (table.run == label.run) & table.measure_id.in_(ids)
    connection.execute(label_measures.delete().where(which))
    rows = [
        {
            "label_id": label.id,
            "run": label.run,
            "measure_id": each.measure.id,
            "name": each.measure.name,
            "at_least": each.measure.at_least,
            "at_most": each.measure.at_most,
            "minimum": each.measure.minimum,
            "early_limit": each.measure.early_limit,
            "value": each.value,
            "population": each.population,
            "recorded_by": by,
            "recorded_at": now,
        }
        for each in results
    ]
    connection.execute(label_measures.insert(), rows)


def results_of(connection: sa.Connection, label: sa.Row[Any]) -> list[tuple[MeasureResult, sa.Row[Any]]]:
    """The results of the label's run by the ids of their measures, each with its row: by whom and when."""
    table = label_measures.c
    query = sa.select(label_measures).where(table.label_id == label.id, table.run == label.run)
    return [(_result(row), row) for row in connection.execute(query.order_by(table.measure_id))]


def _result(row: sa.Row[Any]) -> MeasureResult:
    measure = Measure(row.measure_id, row.name, row.at_least, row.at_most, row.minimum, row.early_limit)
    return MeasureResult(measure, row.value, row.population)
