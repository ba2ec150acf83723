/* A kernel driver that does nothing: it can be loaded and unloaded. It is here to be packaged, signed and verified.
 *
 * Built with Debian's gcc-mingw-w64-x86-64, see build.sh beside this file. */

#include <ntddk.h>

static VOID NTAPI hwdash_sample_unload(PDRIVER_OBJECT driver)
{
    UNREFERENCED_PARAMETER(driver);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path)
{
    UNREFERENCED_PARAMETER(registry_path);
    driver->DriverUnload = hwdash_sample_unload;
    return STATUS_SUCCESS;
}
