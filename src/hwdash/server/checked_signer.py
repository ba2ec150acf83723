"""The signer's process, and whether this machine can keep what it is asked to sign apart."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hwdash.pipeline.bad_hashes import known_drivers
from hwdash.pipeline.child import check_isolation
from hwdash.pipeline.examination import examiner_words
from hwdash.pipeline.scanning import check_rules
from hwdash.server.keys import keys_folder
from hwdash.settings import Settings
from hwdash.signing.process import SignerProcess


def start_checked_signer(settings: Settings) -> SignerProcess:
    """Start the signer's process, or have it started where another user runs it, and check meanwhile that packages can
    be read in isolation and scanned.

    Raises IsolationUnavailable, ScannerUnavailable, KeysError and SignerUnavailable.
    """
    with ThreadPoolExecutor(2) as checks:
        under_way: list[Future[Any]] = [checks.submit(check_isolation), checks.submit(known_drivers, settings)]
        if not settings.clamd:
            under_way.append(checks.submit(check_rules, settings))
        if settings.signer_socket:
            signer = SignerProcess.connect(Path(settings.signer_socket), settings.signer_user)
        else:
            signer = SignerProcess.start(
                keys_folder(settings.data), crl_url=settings.crl_url, examiner=examiner_words(settings)
            )
        try:
            for each in under_way:
                each.result()
        except BaseException:
            signer.close()
            raise
    return signer
