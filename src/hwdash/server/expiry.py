"""A word in the log, at the start and once a day, about certificates that end soon and root keys that lie about."""

import asyncio
import logging
from contextlib import suppress

from hwdash.server.service import Service
from hwdash.signing.errors import SignerUnavailable
from hwdash.signing.process import SignerProcess
from hwdash.signing.roots import ROOT_FILE, ceremonies_due
from hwdash.storage.certificates import expiring_certificates, expiry_warning

EVERY_SECONDS = 24 * 3600

log = logging.getLogger(__name__)


async def warn_of_expiry(service: Service, signer: SignerProcess, *, sandbox: bool) -> None:
    """Until it is cancelled. Of the service's own certificates a sandbox is not warned: it ends with them."""
    while True:
        now = service.clock()
        for each in await service.database.read(expiring_certificates, now):
            log.warning("%s", expiry_warning(each, now))
        if not sandbox:
            with suppress(SignerUnavailable):  # tomorrow then
                for sentence in ceremonies_due(signer.chains, signer.root_certificate_pem, now):
                    log.warning("%s", sentence)
            if (file := service.settings.data / ROOT_FILE).exists():
                log.warning("the root keys are still at %s: carry that file away, the service never needs it", file)
        await asyncio.sleep(EVERY_SECONDS)
