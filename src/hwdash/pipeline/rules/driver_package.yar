import "pe"

rule program_named_as_text
{
    meta:
        description = "A Windows program under the name of a text file"

    condition:
        uint16(0) == 0x5A4D and uint32(uint32(0x3C)) == 0x00004550
        and (extension == ".inf" or extension == ".txt" or extension == ".ini" or extension == ".xml"
             or extension == ".htm" or extension == ".html")
}

rule packed_kernel_driver
{
    meta:
        description = "A kernel driver packed by UPX: packed code hides what the kernel would run"

    condition:
        pe.is_pe and pe.subsystem == pe.SUBSYSTEM_NATIVE
        and for any section in pe.sections : (section.name == "UPX0" or section.name == "UPX1")
}

rule hidden_encoded_powershell
{
    meta:
        description = "A command that starts PowerShell unseen with an encoded script"

    strings:
        $hidden = /powershell(\.exe)?[^\r\n]{0,200}-w(indowstyle)? {1,4}(hidden|1)[^\r\n]{0,200}-e(c|nc|ncodedcommand)? {1,4}[A-Za-z0-9+\/]{40}/ ascii wide nocase
        $encoded = /powershell(\.exe)?[^\r\n]{0,200}-e(c|nc|ncodedcommand)? {1,4}[A-Za-z0-9+\/]{40,4000}[^\r\n]{0,200}-w(indowstyle)? {1,4}(hidden|1)/ ascii wide nocase

    condition:
        any of them
}
