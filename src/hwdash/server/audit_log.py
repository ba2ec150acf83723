"""The service's part in the audit log beside the entries: to seal what was appended, and to take checkpoints.

Every process of a service does both; they take turns in the database. What was done is sealed a second later, and kept
by the next checkpoint: until then whoever owns the database could still change it unseen.
"""

import asyncio
import logging
import time
from pathlib import Path
from urllib.parse import urlsplit

from hwdash.server.keys import open_secrets
from hwdash.server.service import Service
from hwdash.settings import Settings
from hwdash.signing.checkpoint import CheckpointKey, keep
from hwdash.signing.errors import SigningError
from hwdash.storage.audit import SEALED_AT_ONCE, current_tree, is_anything_unsealed, seal
from hwdash.storage.database import Database

EVERY_SECONDS = 1.0
# While more waits than is sealed at once: the requests that make so much of it go first.
BUSY_SECONDS = 0.5

log = logging.getLogger(__name__)


async def keep_audit_log(service: Service) -> None:
    """Until it is cancelled."""
    next_checkpoint, pause = time.monotonic(), EVERY_SECONDS
    while True:
        await asyncio.sleep(pause)
        pause = EVERY_SECONDS
        try:
            if (
                await service.database.read(is_anything_unsealed)
                and await service.database.write(seal) == SEALED_AT_ONCE
            ):
                pause = BUSY_SECONDS
            if service.settings.audit_checkpoints and time.monotonic() >= next_checkpoint:
                next_checkpoint = time.monotonic() + 60 * service.settings.audit_checkpoint_minutes
                await asyncio.to_thread(take_checkpoint, service.settings, service.database)
        except (SigningError, OSError) as error:
            log.error("no checkpoint of the audit log was written: %s", error)  # noqa: TRY400 - it says all
        except Exception:
            # The database may be away for a moment.
            log.exception("the audit log was not sealed; it is tried again")


def end_audit_log(settings: Settings, database: Database) -> None:
    """At the end of the service: seal the rest, and take a last checkpoint."""
    try:
        seal_all(database)
        if settings.audit_checkpoints:
            take_checkpoint(settings, database)
    except (SigningError, OSError) as error:
        log.error("no checkpoint of the audit log was written: %s", error)  # noqa: TRY400 - it says all
    except Exception:
        log.exception("the audit log was not sealed; the next start does it")


def seal_all(database: Database) -> None:
    """Seal all that waits."""
    sealed = SEALED_AT_ONCE
    while sealed == SEALED_AT_ONCE:
        with database.writing() as connection:
            sealed = seal(connection)


def checkpoint_key(settings: Settings) -> CheckpointKey:
    """The key of this service's log, made when absent. Raises KeysError."""
    return CheckpointKey.ensure(open_secrets(settings.data), origin(settings.public_url))


def origin(public_url: str) -> str:
    """The name of a new log: whose it is, without a scheme."""
    return f"{urlsplit(public_url).netloc}/hwdash/audit"


def take_checkpoint(settings: Settings, database: Database) -> tuple[bytes, Path | None]:
    """The signed checkpoint of what is sealed, and its file when there is a folder for them.

    Raises KeysError, CheckpointError when the folder has one that cannot have come before it, and OSError.
    """
    key = checkpoint_key(settings)
    with database.reading() as connection:
        tree = current_tree(connection)
    note = key.sign(tree)
    folder = settings.audit_checkpoints
    return note, keep(Path(folder), note, tree.size) if folder else None
