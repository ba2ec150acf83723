"""Releases of Windows by build numbers: what floors, ceilings and OS codes mean for a machine."""

from functools import lru_cache

from hwdash.vocabulary import OPERATING_SYSTEMS, RELEASES, OperatingSystem, operating_system

_BUILDS: dict[str, int] = {}
for _system in OPERATING_SYSTEMS:
    if _system.floor and _system.build:
        _BUILDS[_system.floor] = min(_system.build, _BUILDS.get(_system.floor, _system.build))

NEWEST_BUILD = max(system.build or 0 for system in OPERATING_SYSTEMS)

TEN = 10240
"""The first build of Windows 10."""

RS2, RS3, RS3_WITH_EXTENSIONS, VB = 15063, 16299, 192, 19041

# The builds of releases before Windows 10, by the versions that OS codes give.
_OLDER = ((9600, (6, 3)), (9200, (6, 2)), (7600, (6, 1)), (6000, (6, 0)), (3790, (5, 2)), (2600, (5, 1)))


def first_build(release: str) -> int:
    """The build that a release begins with. One whose build is not known begins with the next one that is, and after
    the newest of all when there is none.
    """
    later = RELEASES[RELEASES.index(release) :]
    return next((_BUILDS[each] for each in later if each in _BUILDS), NEWEST_BUILD + 1)


def reaches_floor(build: int, floor: str) -> bool:
    """Whether a build is of the release ``floor`` or of a later one."""
    return build >= first_build(floor)


def keeps_ceiling(build: int, ceiling: str) -> bool:
    """Whether a build is of the release ``ceiling`` or of an earlier one."""
    later = RELEASES[RELEASES.index(ceiling) + 1 :]
    return not later or build < first_build(later[0])


def offers_forward(system: OperatingSystem, build: int) -> bool:
    """Whether what is published for an operating system is offered to a build: the same release and later ones.

    What is published for a Windows before 10 does not reach Windows 10 by itself: that takes the driver's expansion.
    """
    if system.major >= 10:
        return build >= (system.build or NEWEST_BUILD + 1)
    if build >= TEN:
        return False
    version = next((version for first, version in _OLDER if build >= first), (5, 0))
    return version >= (system.major, system.minor)


@lru_cache(1000)
def system_of(code: str) -> OperatingSystem | None:
    """The operating system of a published row, new ones included."""
    return operating_system(code, accept_new=True)
