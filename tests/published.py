"""Published drivers put straight into a service's database: labels as their workflow leaves them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hwdash.domain.identifiers import new_blob_key, new_long_id
from hwdash.storage.label_tables import (
    driver_infs,
    driver_rows,
    label_chids,
    label_hardware_ids,
    label_readers,
    shipping_labels,
)
from hwdash.storage.products import insert_product
from hwdash.storage.tables import submissions
from hwdash.vocabulary import TestHarness
from hwdash.wire.product import ProductCreate

NOW = datetime(2026, 11, 1, tzinfo=UTC)
X64 = "WINDOWS_v100_X64_NI_FULL"
AUTOMATIC = {"isAutoInstallDuringOSUpgrade": True, "isAutoInstallOnApplicableSystems": True}


def publish(
    connection: sa.Connection,
    account_id: int,
    hardware_ids: Sequence[str],
    *,
    os_codes: Sequence[str] = (X64,),
    version: str = "2.0.0.0",
    day: str = "2026-01-31",
    feature_score: int | None = None,
    position: int = 0,
    extension_id: str | None = None,
    row_state: str = "added",
    chids: Sequence[str] = (),
    readers: Sequence[int] = (),
    source_submission_id: int | None = None,
    destination: str = "windowsUpdate",
    is_flight_sign: bool = False,
    **label: Any,
) -> sa.Row[Any]:
    """A product with a finished submission and one label; the label's row. ``hardware_ids`` in lower case."""
    wanted = ProductCreate(
        product_name="Published",
        test_harness=TestHarness.HLK,
        requested_signatures=list(os_codes),
        is_flight_sign=is_flight_sign,
    ).to_wire()
    name, harness = wanted.pop("productName"), wanted.pop("testHarness")
    product = insert_product(
        connection, account_id=account_id, name=name, test_harness=harness, attributes=wanted, now=NOW
    ).id
    submission, number = new_long_id(), new_long_id()
    connection.execute(
        submissions.insert().values(
            id=submission,
            product_id=product,
            account_id=account_id,
            name="Published",
            type="initial",
            commit_status="commitComplete",
            current_step="finalizeIngestion",
            state="completed",
            messages=[],
            package_blob=new_blob_key(),
            created_by="tests",
            created_at=NOW,
            source_submission_id=source_submission_id,
        )
    )
    key = {"bundle_id": "bundle", "inf_id": "Driver.inf"}
    connection.execute(
        driver_infs.insert().values(
            submission_id=submission,
            **key,
            inf_class="Extension" if extension_id else "System",
            class_guid="{4d36e97d-e325-11ce-bfc1-08002be10318}",
            provider="Contoso",
            driver_date=day,
            driver_version=version,
            extension_id=extension_id,
        )
    )
    targets = [{**key, "os_code": code, "hardware_id": each} for code in os_codes for each in hardware_ids]
    scores = {"feature_score": feature_score, "position": position}
    connection.execute(driver_rows.insert(), [{"submission_id": submission, **scores, **each} for each in targets])
    values = {
        "name": "A label",
        "specifications": AUTOMATIC,
        "targeting": {},
        "live_targeting": {},
        "justifications": [],
        "current_step": "finalizePublishing",
        "state": "completed",
        "messages": [],
        "run": 1,
    } | label
    row = connection.execute(
        shipping_labels.insert()
        .values(
            id=number,
            account_id=account_id,
            product_id=product,
            submission_id=submission,
            destination=destination,
            step_since=NOW,
            created_by="tests",
            created_at=NOW,
            updated_at=NOW,
            **values,
        )
        .returning(*shipping_labels.c)
    ).one()
    connection.execute(
        label_hardware_ids.insert(), [{"label_id": number, "state": row_state, "run": 1, **each} for each in targets]
    )
    for chid in chids:
        connection.execute(label_chids.insert().values(label_id=number, chid=chid, state="added"))
    for reader in readers:
        connection.execute(label_readers.insert().values(label_id=number, account_id=reader))
    return row
