#!/bin/sh
# Install the Debian packages named that are missing, when this user may; else say which are missing and end with 1.
set -eu
missing=
for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "These packages are missing:$missing. Install them: sudo apt-get install$missing" >&2
        exit 1
    fi
    echo "installing$missing" >&2
    $as_root apt-get update -qq
    exec $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
echo "These programs are needed, by their Debian names:$missing. Install them with your system's package manager." >&2
exit 1
