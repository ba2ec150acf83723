"""The text of a good INF for one device, with room for what a fault is about."""


def device_inf(
    *,
    install: str = "",
    services: str = "AddService = acme, 2, Service",
    service: str = "",
    sections: str = "",
    class_name: str = "System",
    class_guid: str = "{4d36e97d-e325-11ce-bfc1-08002be10318}",
) -> str:
    """An INF without findings, as long as the lines put into it are good.

    ``install``, ``services`` and ``service`` are lines for [Install.NT], [Install.NT.Services] and the section of the
    service acme; ``sections`` are whole sections. acme.sys, acme.dll and acme.exe are copied to the driver store.
    """
    return rf"""[Version]
Signature = "$WINDOWS NT$"
Class = {class_name}
ClassGuid = {class_guid}
Provider = %Maker%
CatalogFile = acme.cat
DriverVer = 11/23/2024,1.0.0.0
PnpLockdown = 1

[SourceDisksNames]
1 = %Disk%

[SourceDisksFiles]
acme.sys = 1
acme.dll = 1
acme.exe = 1

[DestinationDirs]
DefaultDestDir = 13

[Manufacturer]
%Maker% = Acme, NTamd64.10.0...26100

[Acme.NTamd64.10.0...26100]
%Device% = Install, ROOT\ACME

[Install.NT]
CopyFiles = Files
{install}

[Files]
acme.sys
acme.dll
acme.exe

[Install.NT.Services]
{services}

[Service]
ServiceType = 1
StartType = 3
ErrorControl = 1
ServiceBinary = %13%\acme.sys
{service}

{sections}

[Strings]
Maker = "Acme"
Device = "Acme device"
Disk = "Acme disk"
"""
