"""How many signatures may be made in a day: the signer's own bounds, whatever it is asked for and by whom.

They stand in ``limits.json`` in the key folder, which is read anew at each request; without the file there are none.
Each is a number of signatures in a day of UTC:

    {"identities": {"attestation": 2000, "whql": 500}, "account": 1000}

``identities`` bounds each key, ``account`` each account in all. What was made is read out of the log of signatures,
which has every one on the disk before it is given away. There is no second count that could say something else, so a
signer that was killed, or runs beside another one, counts on from where the log ends (signature_log.py).
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from hwdash.signing.authority import IDENTITIES
from hwdash.signing.errors import KeysError
from hwdash.signing.signature_log import Counted

LIMITS_FILE = "limits.json"


@dataclass(frozen=True, slots=True)
class Limits:
    """Signatures a day, by identity, and for each account; what is not named has no bound."""

    identities: Mapping[str, int] = field(default_factory=dict)
    account: int | None = None

    @classmethod
    def read(cls, folder: Path) -> "Limits":
        """Those of a key folder. Raises KeysError when the file cannot be used: then nothing is to be signed."""
        file = folder / LIMITS_FILE
        try:
            document = json.loads(file.read_bytes())
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, RecursionError) as error:
            raise KeysError(f"{file} cannot be read ({error}): restore it, or remove it to have no limits") from error
        if not isinstance(document, dict) or document.keys() - {"identities", "account"}:
            raise KeysError(f"{file} must be a JSON object with the members identities and account, or one of them")
        identities = document.get("identities", {})
        if not isinstance(identities, dict) or identities.keys() - set(IDENTITIES):
            raise KeysError(f"{file}: identities must be a JSON object with members of {', '.join(IDENTITIES)}")
        for number in (*identities.values(), document.get("account", 0)):
            if type(number) is not int or number < 0:
                raise KeysError(f"{file}: a limit is a whole number of signatures a day, not {number!r}")
        return cls(identities, document.get("account"))

    def refusals(self, made: AbstractSet[Counted], asked: AbstractSet[Counted], now: datetime) -> Iterator[str]:
        """Why ``asked`` is too much beside what was ``made`` today; nothing when it is not."""
        tomorrow = datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
        new = asked - made
        for identity, wanted in Counter(each.identity for each in new).items():
            had = sum(each.identity == identity for each in made)
            yield from _refusal(f"{identity} signatures", self.identities.get(identity), had, wanted, tomorrow)
        for account, wanted in Counter(each.account_id for each in new).items():
            had = sum(each.account_id == account for each in made)
            yield from _refusal(f"signatures for account {account}", self.account, had, wanted, tomorrow)


def _refusal(what: str, limit: int | None, had: int, wanted: int, again: datetime) -> Iterator[str]:
    if limit is not None and had + wanted > limit:
        yield (
            f"{limit} {what} may be made a day, {had} were made today, and this takes {wanted} more: "
            f"possible again from {again:%Y-%m-%d %H:%M} UTC"
        )
