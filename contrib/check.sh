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

failed=()
left_out=()
# check TITLE COMMAND…: one check; what fails is counted, and the others run all the same.
check() {
    quietly "$@" || failed+=("$1")
}

# tests TITLE COMMAND…: as check, and print pytest's summary and what was skipped, and why.
tests() {
    # What fails is shown whole already.
    quietly "$@" || { failed+=("$1"); return; }
    printf '%s\n' "$LAST_OUTPUT" | grep -E '^(SKIPPED|=+ .*(passed|failed|error|no tests).* =+$)'
}

# without WHAT: something the checks want is not to be had here.
without() {
    if [ "${CI:-}" = true ]; then
        failed+=("$1")
    else
        left_out+=("$1")
    fi
}

with_python() {
    environment ".venv/python$1" "$2" && ".venv/python$1/bin/pip" install -e ".[all,test]"
}

prepare "[dev]"

if [ "$mode" = all ]; then
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
fi

check "style" "$BIN/ruff" check .
check "formatting" "$BIN/ruff" format --check .
check "types" "$BIN/mypy"

# The rules (floors 0 to 3) must be covered whole by tests of their own; then comes the rest.
export COVERAGE_FILE=.venv/coverage
"$BIN/coverage" erase
rules=$("$BIN/python" -m tests.architecture.order 0 1 2 3)
tests "unit and property tests" \
    "$BIN/coverage" run -m pytest tests/architecture tests/unit tests/property
check "coverage of the rules: 100 %" \
    "$BIN/coverage" report --skip-covered --show-missing --include "$rules" --fail-under 100

if [ "$mode" = all ]; then
    tests "all other tests" \
        "$BIN/coverage" run --append -m pytest \
        --ignore tests/architecture --ignore tests/unit --ignore tests/property
    check "coverage of everything: 90 %" \
        "$BIN/coverage" report --skip-covered --show-missing --fail-under 90
    printf '%s\n' "$LAST_OUTPUT" | grep -E '^TOTAL'

    over_sockets=()
    for directory in integration conformance; do
        [ -d "tests/$directory" ] && over_sockets+=("tests/$directory")
    done
    export AIOCOAP_TEST_LOOP=uvloop
    # Most of them run on both loops as it is, by their parameters.
    tests "other tests over sockets, on uvloop" \
        "$BIN/python" -m pytest -k "not asyncio and not uvloop" "${over_sockets[@]}"
    unset AIOCOAP_TEST_LOOP

    check "documentation" "$BIN/sphinx-build" -W --keep-going -q -b html doc doc/_build/html

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
    check "wheel, without any other package" wheel
    tests "unit tests without optional packages" \
        env AIOCOAP_TEST_BARE=1 .venv/bare/bin/python -m pytest tests/architecture tests/unit

    # Other versions of Python, where they are at hand: what does not need the network.
    for version in 3.12 3.13; do
        other=
        for candidate in "python$version" ~/.pyenv/versions/"$version".*/bin/python; do
            "$candidate" -c 'import venv, ensurepip' 2>/dev/null && other=$candidate && break
        done
        if [ -z "$other" ]; then
            left_out+=("Python $version, which is not here")
            continue
        fi
        quietly "Python $version with all packages" with_python "$version" "$other" ||
            { failed+=("Python $version"); continue; }
        tests "Python $version: unit tests" \
            ".venv/python$version/bin/python" -m pytest tests/architecture tests/unit
    done
fi

printf '\n%d min %02d s\n' $((SECONDS / 60)) $((SECONDS % 60))
[ ${#left_out[@]} -eq 0 ] || printf 'left out: %s\n' "${left_out[@]}"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'FAILED: %s\n' "${failed[@]}"
    exit 1
fi
echo "All checks that were run passed."
