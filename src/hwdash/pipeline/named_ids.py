"""What is wrong with some ids of a label, told in two lengths: a label can target fifty thousand."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from hwdash.drivers.package import listing


class OfIds(ABC):
    """A message that names ids."""

    __slots__ = ()

    ids: Sequence[str]

    @property
    def message(self) -> str:
        """For the label's messages, with the first ids."""
        return self.told(listing(self.ids))

    @property
    def full_message(self) -> str:
        """For the error report, with every id."""
        return self.told(", ".join(self.ids))

    @abstractmethod
    def told(self, ids: str) -> str:
        """The message with these ids in it."""
