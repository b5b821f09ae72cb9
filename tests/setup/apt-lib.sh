# What the set-up scripts share: downloads through apt, with the machine's own mirror and signed indexes.
# To be sourced; sets nothing but functions. A failure names the download and says what to do.

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    shift
    for line in "$@"; do
        printf '    %s\n' "$line" >&2
    done
    exit 1
}

# The address of the Debian archive that this machine's apt uses (main archive, not updates or security).
apt_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
        sort -u | head -n 1
}

# As root, apt drops to a user who may not write below build/.
apt_own() {
    if [ "$(id -u)" = 0 ]; then
        echo "-oAPT::Sandbox::User=root"
    fi
}

# An index that is missing or older than the mirror is the usual reason for a failure; renew it where we may.
apt_renew() {
    if [ "$(id -u)" = 0 ]; then
        apt-get -q update >/dev/null 2>&1
    else
        sudo -n apt-get -q update >/dev/null 2>&1
    fi
}

# download_deb PACKAGE DIRECTORY: the package's .deb file into a directory, checked by apt; there when it is whole.
download_deb() {
    mkdir -p "$2/partial"
    for attempt in old-index new-index; do
        if (cd "$2/partial" && apt-get $(apt_own) -q download "$1" >"../$1.log" 2>&1); then
            mv "$2/partial/$1"_*.deb "$2"
            return 0
        fi
        if [ $attempt = old-index ]; then
            apt_renew || break
        fi
    done
    sed 's/^/    | /' "$2/$1.log" >&2
    fail "the download of Debian's package '$1' failed (apt-get download $1)" \
        "If the index is old or missing: run 'apt-get update' as root, then try again." \
        "If there is no network: put the package's .deb file into $2 by hand."
}

# unpack_deb PACKAGE DIRECTORY INTO: fetch it unless its .deb is there already, then unpack it.
unpack_deb() {
    if ! ls "$2/$1"_*.deb >/dev/null 2>&1; then
        download_deb "$1" "$2"
    fi
    mkdir -p "$3"
    dpkg-deb -x "$(ls "$2/$1"_*.deb | tail -n 1)" "$3"
}
