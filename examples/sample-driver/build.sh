#!/bin/sh
# Build hwdash_sample.sys from hwdash_sample.c. Usage: build.sh [OUTPUT]; the default is hwdash_sample/hwdash_sample.sys beside this file.
# Needs x86_64-w64-mingw32-gcc and its driver headers: Debian's gcc-mingw-w64-x86-64.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
output=${1:-$here/hwdash_sample/hwdash_sample.sys}
exec x86_64-w64-mingw32-gcc -O2 -Wall -Werror -s \
    -I/usr/share/mingw-w64/include/ddk -I/usr/x86_64-w64-mingw32/include/ddk \
    -shared -nostdlib \
    -Wl,--subsystem,native -Wl,--entry,DriverEntry -Wl,--image-base,0x140000000 \
    -Wl,--dynamicbase -Wl,--nxcompat -Wl,--no-insert-timestamp \
    -o "$output" "$here/hwdash_sample.c" -lntoskrnl
