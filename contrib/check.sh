#!/usr/bin/env bash
# Install everything and run all checks: style, types, tests with coverage, documentation,
# interoperability, packaging. Ends with exit code 0 only if all of them passed.
#
#   bash contrib/check.sh          everything
#   bash contrib/check.sh quick    style, types, unit and property tests: while working
#
# Run as root on Debian it installs the peers for the interoperability tests as well; otherwise
# it says what is missing, and leaves those tests out (with CI=true, that is a failure).

set -uo pipefail
# shellcheck source=contrib/prepare.sh
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

mode=${1:-all}
case $mode in
    all | quick) ;;
    *) die "usage: bash contrib/check.sh [all|quick]" ;;
esac

# What comes of the checks is in files, because some run in a process of their own.
results=$(mktemp -d)
beside=
finish() {
    # With everything that it has started.
    [ -z "$beside" ] || kill -- "-$beside" 2>/dev/null
    rm -rf "$results"
}
trap finish EXIT
trap 'exit 130' INT TERM

failed() {
    printf 'FAILED: %s\n' "$1" >>"$results/failed"
}

left_out() {
    printf 'left out: %s\n' "$1" >>"$results/left_out"
}

# check TITLE COMMAND…: one check; what fails is noted, and the others run all the same.
check() {
    quietly "$@" || failed "$1"
}

# tests TITLE COMMAND…: as check, and print pytest's summary and what was skipped, and why.
tests() {
    # What fails is shown whole already.
    quietly "$@" || { failed "$1"; return; }
    printf '%s\n' "$LAST_OUTPUT" | grep -E '^(SKIPPED|=+ .*(passed|failed|error|no tests).* =+$)'
}

# without WHAT: something the checks want is not to be had here.
without() {
    if [ "${CI:-}" = true ]; then failed "$1"; else left_out "$1"; fi
}

peers() {
    debian "Interoperability with libcoap" libcoap3-bin || without "libcoap"
    debian "A decoder that is not ours" tshark || without "tshark"
    debian "WebSockets behind a web server" nginx-light || without "nginx"
    debian "Tests in network namespaces" iproute2 procps util-linux || without "network namespaces"
    command -v node >/dev/null || debian "Interoperability with node-coap" nodejs || true
    command -v npm >/dev/null || debian "Interoperability with node-coap" npm || true
    if command -v node >/dev/null && command -v npm >/dev/null; then
        [ -d .venv/node/node_modules/coap ] ||
            quietly "node-coap" npm install --no-audit --no-fund --prefix .venv/node coap@1.5 ||
            without "node-coap"
    else
        without "node-coap"
    fi
    export AIOCOAP_TEST_NODE_MODULES=$PWD/.venv/node/node_modules
}

of_rules=(tests/architecture tests/unit tests/property)
over_sockets=(tests/integration tests/conformance tests/interop tests/tools)

# measured NAME COMMAND…: run a command of Python with its coverage in a file of its own.
measured() {
    local name=$1
    shift
    "$BIN/coverage" run --data-file ".venv/coverage.$name" "$@"
}

rules() {
    local files
    files=$("$BIN/python" -m tests.architecture.order 0 1 2 3)
    tests "unit and property tests" measured rules -m pytest "${of_rules[@]}"
    # Floors 0 to 3, by tests of their own.
    check "coverage of the rules: 100 %" "$BIN/coverage" report --data-file .venv/coverage.rules \
        --skip-covered --show-missing --include "$files" --fail-under 100
}

# Wait for processes and the network a good deal of the time. There is one at a time only, so
# that no test takes another's ports.
sockets() {
    tests "tests over sockets" measured sockets -m pytest "${over_sockets[@]}"
    # Most of them run on both loops as it is, by their parameters.
    AIOCOAP_TEST_LOOP=uvloop tests "other tests over sockets, on uvloop" \
        "$BIN/python" -m pytest -k "not asyncio and not uvloop" tests/integration tests/conformance
}

# What gets installed elsewhere is the wheel, and it works without any other package.
wheel() {
    rm -rf .venv/dist .venv/bare build
    "$BIN/pip" wheel --no-deps -w .venv/dist . &&
        "$PYTHON" -m venv .venv/bare &&
        .venv/bare/bin/pip install .venv/dist/aiocoap-*.whl &&
        (cd / && "$OLDPWD/.venv/bare/bin/python" "$OLDPWD/contrib/bare.py") &&
        .venv/bare/bin/aiocoap-client --version &&
        .venv/bare/bin/pip install pytest hypothesis jsonschema
}

with_python() {
    environment ".venv/python$1" "$2" && ".venv/python$1/bin/pip" install -e ".[all,test]"
}

# Other versions of Python, where they are at hand: what does not need the network.
other_versions() {
    local version candidate other
    for version in 3.12 3.13; do
        other=
        for candidate in "python$version" ~/.pyenv/versions/"$version".*/bin/python; do
            "$candidate" -c 'import venv, ensurepip' 2>/dev/null && other=$candidate && break
        done
        if [ -z "$other" ]; then
            left_out "Python $version, which is not here"
            continue
        fi
        quietly "Python $version with all packages" with_python "$version" "$other" ||
            { failed "Python $version"; continue; }
        tests "Python $version: unit tests" \
            ".venv/python$version/bin/python" -m pytest tests/architecture tests/unit
    done
}

prepare "[dev]"
rm -f .venv/coverage .venv/coverage.*
[ "$mode" = quick ] || peers

check "style" "$BIN/ruff" check .
check "formatting" "$BIN/ruff" format --check .
check "types" "$BIN/mypy"

if [ "$mode" = quick ]; then
    rules
else
    # Beside them goes on what needs no network; in a process group, to be ended as a whole.
    set -m
    sockets >"$results/sockets" 2>&1 &
    beside=$!
    set +m

    rules
    tests "all other tests" measured others -m pytest \
        "${of_rules[@]/#/--ignore=}" "${over_sockets[@]/#/--ignore=}"
    check "documentation" "$BIN/sphinx-build" -W --keep-going -q -b html doc doc/_build/html
    check "wheel, without any other package" wheel
    tests "unit tests without optional packages" \
        env AIOCOAP_TEST_BARE=1 .venv/bare/bin/python -m pytest tests/architecture tests/unit
    other_versions

    wait "$beside" || failed "tests over sockets"
    beside=
    cat "$results/sockets"

    export COVERAGE_FILE=.venv/coverage
    check "coverage together" "$BIN/coverage" combine .venv/coverage.{rules,others,sockets}
    check "coverage of everything: 90 %" \
        "$BIN/coverage" report --skip-covered --show-missing --fail-under 90
    printf '%s\n' "$LAST_OUTPUT" | grep -E '^TOTAL'
fi

printf '\n%d min %02d s\n' $((SECONDS / 60)) $((SECONDS % 60))
cat "$results/left_out" 2>/dev/null
if [ -s "$results/failed" ]; then
    cat "$results/failed"
    exit 1
fi
echo "All checks that were run passed."
