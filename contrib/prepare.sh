# Sourced by demo.sh and check.sh: makes sure that what they need is there.
#
# Everything goes into .venv in the checkout; only Debian packages go elsewhere, and only when
# run as root on a machine with apt-get. Without that, it says what to install.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

export DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
export PYTHONUNBUFFERED=1

die() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

# quietly TITLE COMMAND…: run a command, show its output only if it fails; print the time.
# The time stands behind the title; the command's exit code is passed on.
quietly() {
    local title=$1 start=$SECONDS log status=0
    shift
    log=$(mktemp)
    printf '%-46s ' "$title"
    "$@" >"$log" 2>&1 </dev/null || status=$?
    if [ $status -eq 0 ]; then
        printf 'ok %4d s\n' $((SECONDS - start))
    else
        printf 'FAILED %4d s\n' $((SECONDS - start))
        cat "$log"
    fi
    LAST_OUTPUT=$(cat "$log")
    rm -f "$log"
    return $status
}

# Whether the Debian packages named are installed; prints those that are not.
missing_packages() {
    local name
    for name in "$@"; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || echo "$name"
    done
}

# debian PURPOSE PACKAGE…: install Debian packages if we may; otherwise say what to do.
debian() {
    local purpose=$1 missing
    shift
    if ! command -v dpkg-query >/dev/null; then
        echo "$purpose needs what Debian calls: $*"
        return 1
    fi
    missing=$(missing_packages "$@" | xargs)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "$purpose needs Debian packages; as root: apt-get install $missing"
        return 1
    fi
    # shellcheck disable=SC2086 # one word a package
    quietly "Debian: $missing" apt_install $missing
}

apt_install() {
    apt-get install -y --no-install-recommends "$@" || {
        apt-get update && apt-get install -y --no-install-recommends "$@"
    }
}

# Set PYTHON to an interpreter that is new enough.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            PYTHON=$(command -v "$candidate")
            return
        fi
    done
    die "This needs Python 3.11 or newer, which Debian 12 has: apt-get install python3"
}

# environment DIRECTORY INTERPRETER: make a virtual environment unless it is there already.
environment() {
    [ -x "$1/bin/pip" ] && return 0
    rm -rf "$1"
    "$2" -m venv "$1"
}

# prepare EXTRAS: .venv with the package in it, editable, so that it is always the checkout.
prepare() {
    find_python
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        debian "A virtual environment" python3-venv || exit 1
    fi
    quietly "Python environment in .venv" environment .venv "$PYTHON" || exit 1
    quietly "aiocoap and what it needs" .venv/bin/pip install -e ".$1" || exit 1
    BIN=$PWD/.venv/bin
}
