import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from hwdash.clock import system_clock
from hwdash.server.expiry import warn_of_expiry
from hwdash.signing.authority import development_vendor_certificate
from hwdash.storage.accounts import create_account
from hwdash.storage.certificates import add_signing_certificate
from hwdash.storage.database import Database


def test_the_log_names_each_certificate_that_ends_soon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    now = system_clock()
    database = Database(f"sqlite:///{tmp_path / 'hwdash.db'}")
    database.create()
    with database.writing() as connection:
        account = create_account(connection, "Contoso", now)
        for company, age in (("Soon Ltd", 340), ("Later Ltd", 1)):
            _, (leaf, *_) = development_vendor_certificate(company, now - timedelta(days=age), key_size=2048)
            add_signing_certificate(connection, account.id, leaf, now)

    service = SimpleNamespace(database=database, clock=lambda: now)

    async def look_once() -> None:
        task = asyncio.create_task(warn_of_expiry(service, None, sandbox=True))
        told = asyncio.Event()
        logging.getLogger("hwdash.server.expiry").addFilter(lambda _record: told.set() or True)
        await told.wait()
        task.cancel()

    with caplog.at_level(logging.WARNING):
        asyncio.run(asyncio.wait_for(look_once(), 60))
    database.close()
    (record,) = caplog.records
    assert "Soon Ltd" in record.getMessage()
    assert "ends in 2" in record.getMessage()
