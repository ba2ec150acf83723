"""Faults in event providers, AutoLogger sessions and WMI."""

from seeded.device_inf import device_inf
from seeded.fault import Fault

_EVENTS = device_inf(
    sections=r"""[Install.NT.Events]
AddEventProvider = {071acb53-ccfb-42e0-9a68-5336b7301507}, Provider
AddAutoLogger = AcmeSession, {d9ff08ce-a7a6-4c44-91e9-bc1e3692301b}, Session

[Provider]
ProviderName = Acme-Provider
ResourceFile = %13%\acme.dll
MessageFile = %13%\acme.dll
AddChannel = Acme-Provider/Admin, 0x1, Channel.Admin
AddChannel = Acme-Provider/Debug, 0x4, Channel.Debug

[Channel.Admin]
Isolation = 1
Enabled = 1
Value = 16
LoggingRetention = 2
LoggingAutoBackup = 1

[Channel.Debug]
Value = 17

[Session]
Start = 1
FileName = %%DriverData%%\Acme\log.etl
AddAutoLoggerProvider = {4b8b1947-ae4d-54e2-826a-1aee78ef05b2}, Logged

[Logged]
Enabled = 1

[Install.NT.WMI]
WMIInterface = {99999999-4cf9-11d2-ba4a-00a0c9062910}, 1, WmiSecurity

[WmiSecurity]
Security = "O:BAG:BAD:(A;;0x120fff;;;BA)(A;;0x120fff;;;SY)" """,
)


def _fault(code: int, name: str, old: str, new: str, *, at: str | None = None) -> Fault:
    return Fault(code, name, _EVENTS, ((old, new),), new if at is None else at)


FAULTS = [
    _fault(1180, "same-number", "Value = 17", "Value = 0x10"),
    _fault(1180, "same-section", "0x4, Channel.Debug", "0x2, Channel.Admin", at="Value = 16"),
    _fault(1181, "backup-of-a-debug-channel", "Value = 17", "LoggingAutoBackup = 0x1"),
    _fault(1181, "backup-of-an-analytic-channel", "Admin, 0x1,", "Admin, 3,", at="LoggingAutoBackup = 1"),
    _fault(1182, "circular", "LoggingRetention = 2", "LoggingRetention = 1", at="LoggingAutoBackup = 1"),
    _fault(1182, "circular-by-default", "LoggingRetention = 2\n", "", at="LoggingAutoBackup = 1"),
    _fault(1256, "another-flag", "062910}, 1,", "062910}, 0x3,"),
    _fault(1326, "system-directory", "%%DriverData%%", "%%SystemRoot%%", at="FileName"),
    _fault(1326, "drive", r"%%DriverData%%\Acme", r"C:\Acme", at="FileName"),
]
