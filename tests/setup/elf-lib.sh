# What the set-up scripts share about programs of Debian's packages: to be sourced after apt-lib.sh.

# needed FILE: the libraries that an ELF file names.
needed() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

# copy_library NAME TREES ROOT: it and what it needs out of unpacked packages, unless that is there.
copy_library() {
    local found next
    [ ! -e "$3/lib/x86_64-linux-gnu/$1" ] || return 0
    found=$(find "$2" -path '*/x86_64-linux-gnu/*' -name "$1" | head -n 1)
    [ -n "$found" ] || fail "no package that was unpacked has the library $1" "Add its package to tests/setup/${0##*/}."
    install -D -m 755 "$found" "$3/lib/x86_64-linux-gnu/$1"
    for next in $(needed "$found"); do
        copy_library "$next" "$2" "$3"
    done
}

# copy_program FILE TREES ROOT: into bin/, with all libraries.
copy_program() {
    local library
    install -D -m 755 "$1" "$3/bin/${1##*/}"
    for library in $(needed "$1"); do
        copy_library "$library" "$2" "$3"
    done
}
