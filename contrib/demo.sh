#!/usr/bin/env bash
# Install aiocoap into .venv and show the main job: start the example server, ask it with
# aiocoap-client, print the answers, stop the server.

set -uo pipefail
# shellcheck source=contrib/prepare.sh
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

prepare "[linkheader,prettyprint]"

server=
log=$(mktemp)
stop() {
    [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null && wait "$server" 2>/dev/null; }
    server=
    rm -f "$log"
}
trap stop EXIT

# show ARGUMENT…: ask with aiocoap-client, as one would type it.
show() {
    local word
    printf '\n\n$ aiocoap-client'
    for word in "$@"; do
        case $word in
            *" "*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    "$BIN/aiocoap-client" "$@" </dev/null ||
        die "This failed with exit code $?; the server said: $(cat "$log")"
}

"$BIN/python" - <<'PYTHON' || die "UDP port 5683 is in use: stop the CoAP server that uses it first."
import socket

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    probe.bind(("0.0.0.0", 5683))
PYTHON

printf '\n$ ./server.py &\n'
"$BIN/python" server.py >"$log" 2>&1 </dev/null &
server=$!
for _ in $(seq 50); do
    kill -0 "$server" 2>/dev/null || die "The server ended by itself: $(cat "$log")"
    "$BIN/aiocoap-client" -q --timeout 1 coap://localhost/.well-known/core >/dev/null 2>&1 && break
    sleep 0.1
done

show coap://localhost/.well-known/core
show coap://localhost/time
show coap://localhost/whoami
# The example server makes it long, so that it comes back in blocks.
show -m PUT --payload "Put here by the demo. " coap://localhost/other/block 2>&1 |
    sed '/^01234/d' || exit 1
show coap://localhost/other/separate

stop
printf '\n\nThe server is stopped. Now it is your turn: see README.rst.\n'
