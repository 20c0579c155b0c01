"""Our client against libcoap's server, and libcoap's client against ours.

libcoap's client exits with 0 even if nobody answers, so the tests look at what it prints.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiocoap import (
    CHANGED,
    CON,
    CONTENT,
    CREATED,
    DELETE,
    DELETED,
    FETCH,
    GET,
    METHOD_NOT_ALLOWED,
    NON,
    NOT_FOUND,
    POST,
    PROXYING_NOT_SUPPORTED,
    PUT,
    Context,
    Message,
)
from aiocoap.error import ObservationCancelled
from aiocoap.numbers.constants import TransportTuning
from tests.interop.peers import (
    PING,
    PONG,
    ROOT,
    Relay,
    Server,
    aiocoap_client,
    answer,
    libcoap_client,
    libcoap_server,
    our_server,
    program,
)
from tests.ports import free_port

BODY = random.Random(7959).randbytes(200 * 1024)
PATIENCE = 20


# Our client


@pytest.fixture(scope="module")
def theirs() -> Iterator[str]:
    with libcoap_server("-d", "20") as server:
        yield f"coap://127.0.0.1:{server.port}"


async def ask(message: Message, **kwargs: Any) -> Message:
    async with await Context.create_client_context(**kwargs) as context:
        async with asyncio.timeout(PATIENCE):
            return await context.request(message).response


@pytest.mark.parametrize("mtype", [CON, NON])
async def test_get(theirs: str, mtype: int) -> None:
    response = await ask(Message(mtype=mtype, code=GET, uri=f"{theirs}/"))
    assert response.code == CONTENT
    assert b"libcoap" in response.payload


async def test_get_by_name(theirs: str) -> None:
    request = Message(code=GET, uri=theirs.replace("127.0.0.1", "localhost") + "/")
    response = await ask(request)
    assert response.code == CONTENT
    assert response.get_request_uri() == request.get_request_uri()


async def test_get_by_ipv6() -> None:
    with libcoap_server(host="::1") as server:
        response = await ask(Message(code=GET, uri=f"coap://[::1]:{server.port}/"))
    assert response.code == CONTENT
    assert b"libcoap" in response.payload


async def test_what_is_refused(theirs: str) -> None:
    assert (await ask(Message(code=GET, uri=f"{theirs}/nothing"))).code == NOT_FOUND
    delete = Message(code=DELETE, uri=f"{theirs}/async")
    assert (await ask(delete)).code == METHOD_NOT_ALLOWED
    elsewhere = Message(code=GET, uri="coap://192.0.2.1/elsewhere")
    elsewhere.unresolved_remote = theirs.removeprefix("coap://")
    elsewhere.opt.proxy_scheme = "coap"
    assert (await ask(elsewhere)).code == PROXYING_NOT_SUPPORTED


async def test_fetch(theirs: str) -> None:
    # The resource ignores what is asked of it.
    response = await ask(Message(code=FETCH, uri=f"{theirs}/time", payload=b"ticks"))
    assert response.code == CONTENT
    assert response.payload


async def test_put_post_get_and_delete(theirs: str) -> None:
    uri = f"{theirs}/dynamic"
    assert (await ask(Message(code=PUT, uri=uri, payload=b"first"))).code == CREATED
    assert (await ask(Message(code=GET, uri=uri))).payload == b"first"
    assert (await ask(Message(code=PUT, uri=uri, payload=b"second"))).code == CHANGED
    assert (await ask(Message(code=GET, uri=uri))).payload == b"second"
    # It takes POST for PUT.
    assert (await ask(Message(code=POST, uri=uri, payload=b"third"))).code == CHANGED
    assert (await ask(Message(code=GET, uri=uri))).payload == b"third"
    assert (await ask(Message(code=DELETE, uri=uri))).code == DELETED
    assert (await ask(Message(code=GET, uri=uri))).code == NOT_FOUND


@pytest.mark.parametrize("mtype", [CON, NON])
@pytest.mark.parametrize(("exponent", "size"), [(6, len(BODY)), (2, 3_000), (0, 1_000)])
async def test_bodies_in_blocks(theirs: str, mtype: int, exponent: int, size: int) -> None:
    uri = f"{theirs}/large{exponent}{mtype!s}"
    block = (0, False, exponent)
    put = Message(mtype=mtype, code=PUT, uri=uri, payload=BODY[:size], block1=block)
    assert (await ask(put)).code == CREATED
    # Asked for early, or left to the server.
    assert (await ask(Message(mtype=mtype, code=GET, uri=uri, block2=block))).payload == BODY[:size]
    assert (await ask(Message(mtype=mtype, code=GET, uri=uri))).payload == BODY[:size]


async def test_a_body_each_way() -> None:
    with libcoap_server("-e", "-d", "1") as server:
        uri = f"coap://127.0.0.1:{server.port}/echo"
        response = await ask(Message(code=PUT, uri=uri, payload=BODY))
    assert response.code == CREATED
    assert response.payload == BODY


async def test_blocks_one_by_one(theirs: str) -> None:
    uri = f"{theirs}/one-by-one"
    assert (await ask(Message(code=PUT, uri=uri, payload=BODY[:500]))).code == CREATED
    async with await Context.create_client_context() as context:
        request = Message(code=GET, uri=uri, block2=(3, False, 2))
        async with asyncio.timeout(PATIENCE):
            response = await context.request(request, handle_blockwise=False).response
    assert response.payload == BODY[192:256]
    assert response.opt.block2 == (3, True, 2)


@pytest.mark.parametrize("mtype", [CON, NON])
async def test_a_separate_response(theirs: str, mtype: int) -> None:
    response = await ask(Message(mtype=mtype, code=GET, uri=f"{theirs}/async?1"))
    assert response.code == CONTENT
    assert response.mtype in (CON, NON)


class Hasty(TransportTuning):
    """Does not keep tests waiting."""

    ACK_TIMEOUT = 0.03
    MAX_RETRANSMIT = 9


class Forgetful(TransportTuning):
    """Does not say for long what nobody hears."""

    ACK_TIMEOUT = 0.05
    MAX_RETRANSMIT = 1


async def test_what_gets_lost() -> None:
    with libcoap_server("-d", "1", "-l", "25%") as server:
        uri = f"coap://127.0.0.1:{server.port}/lossy"
        put = Message(code=PUT, uri=uri, payload=BODY[:1000])
        assert (await ask(put, transport_tuning=Hasty)).code in (CREATED, CHANGED)
        get = Message(code=GET, uri=uri, block2=(0, False, 1))
        response = await ask(get, transport_tuning=Hasty)
    assert response.payload == BODY[:1000]


@pytest.mark.parametrize("notifications", [[], ["-N"]])
async def test_observe(notifications: list[str]) -> None:
    with libcoap_server("-v", "7", *notifications) as server:
        uri = f"coap://127.0.0.1:{server.port}/example_data"
        # States of one message and of several, more than the five that NON ones come in at most.
        states = [BODY[: 1 + number * 700] for number in range(7)]
        seen, mtypes = [], set()
        async with await Context.create_client_context() as context, asyncio.timeout(PATIENCE):
            observed = context.request(Message(code=GET, uri=uri, observe=0))
            assert (await observed.response).opt.observe is not None
            notified = aiter(observed.observation)
            for state in states:
                await context.request(Message(code=PUT, uri=uri, payload=state)).response
                notification = await anext(notified)
                seen.append(notification.payload)
                mtypes.add(notification.mtype)
            observed.observation.cancel()
            # The server is told, and sends no more notifications: there is nothing to refuse.
            await context.request(Message(code=PUT, uri=uri, payload=b"unsaid")).response
        told = server.stop()
    assert seen == states
    assert mtypes == ({CON, NON} if notifications else {CON})
    assert told.count("t:RST") == 0
    assert "removed subscription" in told
    assert told.count(":: 'unsaid'") == 1


async def test_notifications_come_by_themselves(theirs: str) -> None:
    async with await Context.create_client_context() as context:
        request = context.request(Message(code=GET, uri=f"{theirs}/time", observe=0))
        async with asyncio.timeout(PATIENCE):
            seen = [(await request.response).payload]
            async for notification in request.observation:
                assert notification.opt.observe is not None
                seen.append(notification.payload)
                if len(seen) == 3:
                    break
        request.observation.cancel()
        assert len(set(seen)) == 3


async def test_the_end_of_what_is_observed() -> None:
    with libcoap_server("-d", "1") as server:
        uri = f"coap://127.0.0.1:{server.port}/dynamic"
        async with await Context.create_client_context() as context, asyncio.timeout(PATIENCE):
            await context.request(Message(code=PUT, uri=uri, payload=b"x")).response
            observed = context.request(Message(code=GET, uri=uri, observe=0))
            assert (await observed.response).payload == b"x"
            await context.request(Message(code=DELETE, uri=uri)).response
            notified = aiter(observed.observation)
            assert (await anext(notified)).code == NOT_FOUND
            with pytest.raises(ObservationCancelled):
                await anext(notified)


# The ways in which our client ends an observation, or hears of its end. Afterwards there is
# nothing left of it at either end.


def subscriptions(told: str) -> int:
    """Return how many observers libcoap's server has in the end, by its log."""
    return told.count("create new subscription") - told.count("removed subscription")


def is_at_rest(context: Context) -> bool:
    """Whether a client waits for nothing any more."""
    return not any(
        len(interface.outgoing_requests)  # type: ignore[attr-defined]
        for interface in context.request_interfaces
    )


async def begin(context: Context, uri: str) -> Any:
    """Observe what is created by that, and get one notification; return the request."""
    await context.request(Message(code=PUT, uri=uri, payload=b"before")).response
    observed = context.request(Message(code=GET, uri=uri, observe=0))
    assert (await observed.response).payload == b"before"
    await context.request(Message(code=PUT, uri=uri, payload=b"after")).response
    assert (await anext(aiter(observed.observation))).payload == b"after"
    return observed


async def test_our_cancellation_by_deregistering() -> None:
    with libcoap_server("-v", "7", "-d", "1") as server:
        uri = f"coap://127.0.0.1:{server.port}/dynamic"
        async with await Context.create_client_context() as context, asyncio.timeout(PATIENCE):
            observed = await begin(context, uri)
            observed.observation.cancel()
            await context.request(Message(code=PUT, uri=uri, payload=b"unsaid")).response
            assert is_at_rest(context)
        told = server.stop()
    assert re.search(r"c:GET .*Observe:1\b", told)
    assert told.count("create new subscription") == 1
    assert subscriptions(told) == 0
    assert "t:RST" not in told


async def test_our_cancellation_by_a_reset() -> None:
    """What would tell the server is lost, so that the client has just forgotten."""
    lost: list[Message] = []

    def is_lost(datagram: bytes) -> bool:
        message = Message.decode(datagram)
        if message.code == GET and message.opt.observe == 1:
            lost.append(message)
            return True
        return False

    with (
        libcoap_server("-v", "7", "-d", "1") as server,
        Relay(server.port, is_lost) as relay,
    ):
        uri = f"coap://127.0.0.1:{server.port}/dynamic"
        async with (
            await Context.create_client_context() as other,
            await Context.create_client_context(transport_tuning=Forgetful) as context,
            asyncio.timeout(PATIENCE),
        ):
            observed = await begin(context, f"coap://127.0.0.1:{relay.port}/dynamic")
            observed.observation.cancel()
            while not is_at_rest(context):
                await other.request(Message(code=GET, uri=uri)).response
            assert lost
            await other.request(Message(code=PUT, uri=uri, payload=b"refused")).response
            # The next is to be after the Reset has arrived.
            await context.request(Message(code=GET, uri=f"coap://127.0.0.1:{relay.port}/")).response
            await other.request(Message(code=PUT, uri=uri, payload=b"unsaid")).response
        told = server.stop()
    assert told.count("t:RST") == 1
    assert told.count("create new subscription") == 1
    assert subscriptions(told) == 0
    assert told.count(":: 'unsaid'") == 1


async def test_their_cancellation_by_an_error() -> None:
    with libcoap_server("-v", "7", "-d", "1") as server:
        uri = f"coap://127.0.0.1:{server.port}/dynamic"
        async with await Context.create_client_context() as context, asyncio.timeout(PATIENCE):
            observed = await begin(context, uri)
            await context.request(Message(code=DELETE, uri=uri)).response
            notified = aiter(observed.observation)
            assert (await anext(notified)).code == NOT_FOUND
            with pytest.raises(ObservationCancelled):
                await anext(notified)
            assert is_at_rest(context)
            # The list of observers has gone with the resource.
            for state in (b"unsaid", b"unsaid as well"):
                await context.request(Message(code=PUT, uri=uri, payload=state)).response
        told = server.stop()
    assert "Observe:1" not in told
    assert "t:RST" not in told
    assert told.count(":: 'unsaid") == 2


def test_ping_of_theirs(theirs: str) -> None:
    assert answer(int(theirs.rsplit(":", 1)[1]), PING, 5) == PONG


# The command


def test_the_command_line_client(theirs: str, tmp_path: Path) -> None:
    done = aiocoap_client(f"{theirs}/")
    assert done.returncode == 0
    assert b"libcoap" in done.stdout
    assert aiocoap_client(f"{theirs}/nothing").returncode == 4
    assert aiocoap_client("-m", "PUT", "--payload", "by hand", f"{theirs}/tool").returncode == 0
    assert aiocoap_client("--non", f"{theirs}/tool").stdout == b"by hand"
    (tmp_path / "body").write_bytes(BODY)
    payload = ("--payload", f"@{tmp_path / 'body'}", "--payload-initial-szx", "5")
    assert aiocoap_client("-m", "PUT", *payload, f"{theirs}/tool").returncode == 0
    assert aiocoap_client(f"{theirs}/tool").stdout == BODY
    assert aiocoap_client("-m", "DELETE", f"{theirs}/tool").returncode == 0
    links = aiocoap_client(f"{theirs}/.well-known/core").stdout
    assert b'</time>;if="clock"' in links


def test_the_command_line_client_observes(theirs: str) -> None:
    command = (sys.executable, str(ROOT / "aiocoap-client"), "--observe", f"{theirs}/time")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(3)]
        finally:
            process.kill()
    assert len(set(lines)) == 3
    assert all(re.match(rb"\w+ \d\d \d\d:\d\d:\d\d", line) for line in lines)


# Our server


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    with our_server() as server:
        yield f"coap://127.0.0.1:{server.port}"


@pytest.mark.parametrize("arguments", [[], ["-N"], ["-T", "token123"], ["-T", "t"], ["-b", "64"]])
def test_their_get(ours: str, arguments: list[str]) -> None:
    assert libcoap_client(*arguments, f"{ours}/stored").strip() == b"nothing yet"


def test_their_get_by_ipv6(ours: str) -> None:
    port = ours.rsplit(":", 1)[1]
    assert (
        libcoap_client(f"coap://[::1]:{port}/echo").strip().decode() == f"coap://[::1]:{port}/echo"
    )


def test_where_they_send_it(ours: str) -> None:
    by_name = ours.replace("127.0.0.1", "localhost")
    for uri in (f"{ours}/echo", f"{by_name}/echo", f"{by_name}/echo?a=b&c%26d"):
        assert libcoap_client(uri).strip().decode() == uri
    # Without Uri-Host and Uri-Port, what counts is where it arrived.
    assert libcoap_client("-U", f"{by_name}/echo").strip().decode() in (
        f"{ours}/echo",
        f"{ours.replace('127.0.0.1', '[::1]')}/echo",
    )


@pytest.mark.parametrize("mtype", [[], ["-N"]])
def test_their_methods(ours: str, mtype: list[str]) -> None:
    uri = f"{ours}/methods"
    for method in ("get", "put", "post", "delete", "fetch", "patch", "ipatch"):
        payload = [] if method in ("get", "delete") else ["-e", "sent", "-t", "text/plain"]
        told = libcoap_client(*mtype, "-m", method, *payload, uri).strip()
        expected = {"ipatch": "iPATCH"}.get(method, method.upper())
        assert told.decode() == f"{expected} with {4 if payload else 0} bytes"


@pytest.mark.parametrize("size", [[], ["-b", "16"], ["-b", "64"], ["-b", "1024"]])
def test_their_blocks_down(ours: str, size: list[str], tmp_path: Path) -> None:
    libcoap_client(*size, "-o", str(tmp_path / "out"), f"{ours}/large")
    assert (tmp_path / "out").read_bytes() == b"0123456789" * 2000


def test_their_block_from_the_middle(ours: str) -> None:
    told = libcoap_client("-b", "3,64", f"{ours}/large").strip()
    assert told == (b"0123456789" * 2000)[192:256]


@pytest.mark.parametrize("mtype", [[], ["-N"]])
@pytest.mark.parametrize(("size", "length"), [([], len(BODY)), (["-b", "128"], 5_000)])
def test_their_blocks_up(
    ours: str, mtype: list[str], size: list[str], length: int, tmp_path: Path
) -> None:
    (tmp_path / "in").write_bytes(BODY[:length])
    libcoap_client(*mtype, *size, "-m", "put", "-f", str(tmp_path / "in"), f"{ours}/kept")
    libcoap_client(*mtype, "-o", str(tmp_path / "out"), f"{ours}/kept")
    assert (tmp_path / "out").read_bytes() == BODY[:length]


@pytest.mark.parametrize("method", ["post", "fetch"])
@pytest.mark.parametrize("size", [[], ["-b", "256"]])
def test_their_body_each_way(ours: str, method: str, size: list[str], tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BODY)
    files = ("-f", str(tmp_path / "in"), "-o", str(tmp_path / "out"))
    libcoap_client(*size, "-m", method, *files, f"{ours}/echo")
    assert (tmp_path / "out").read_bytes() == BODY


def test_their_observe(ours: str) -> None:
    told = libcoap_client("-s", "2", f"{ours}/counted", seconds=3)
    assert told.count(b"count") >= 3
    # It has told us that it is over.
    assert libcoap_client(f"{ours}/observers").strip() == b"0"


def test_their_observation_of_bodies(ours: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(BODY)
    uri, out = f"{ours}/noted", tmp_path / "out"
    assert libcoap_client("-m", "put", "-e", "before", uri).strip() == b""
    command = ("coap-client-notls", "-B", "4", "-s", "2", "-o", str(out), uri)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 2
            while libcoap_client(f"{ours}/observers").strip() != b"1":
                assert time.monotonic() < deadline
            libcoap_client("-m", "put", "-f", str(tmp_path / "in"), uri)
            process.wait(timeout=PATIENCE)
        finally:
            process.kill()
    assert out.read_bytes() == b"before" + BODY
    assert libcoap_client(f"{ours}/observers").strip() == b"0"


def test_their_observers_vanish(ours: str) -> None:
    uri = f"{ours}/noted"
    command = ("coap-client-notls", "-B", "9", "-s", "8", uri)
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 5
            while libcoap_client(f"{ours}/observers").strip() != b"1":
                assert time.monotonic() < deadline
        finally:
            process.kill()
    # Its port is closed now, and the next notification finds that out.
    libcoap_client("-m", "put", "-e", "to nobody", uri)
    assert libcoap_client(f"{ours}/observers").strip() == b"0"


# The ways in which libcoap's client ends an observation, or hears of its end


@contextmanager
def observing(server: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have libcoap's client observe, for longer than a test takes."""
    command = (program("coap-client-notls"), "-B", "60", "-s", "60", *arguments, f"{server}/noted")
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            wait_for_observers(server, 1)
            yield process
        finally:
            process.kill()


def wait_for_observers(server: str, count: int) -> None:
    """Wait until our server has that many."""
    deadline = time.monotonic() + PATIENCE
    while (found := libcoap_client(f"{server}/observers").strip()) != b"%d" % count:
        assert time.monotonic() < deadline, found


@pytest.mark.parametrize("mtype", [[], ["-N"]])
def test_their_cancellation_by_deregistering(ours: str, mtype: list[str]) -> None:
    told = libcoap_client("-v", "7", *mtype, "-s", "1", f"{ours}/noted", seconds=2)
    # It asked for the end, and got what ends it.
    assert re.search(rb"c:GET .*Observe:1\b", told)
    assert libcoap_client(f"{ours}/observers").strip() == b"0"


@pytest.mark.parametrize("mtype", [[], ["-N"]])
def test_their_cancellation_by_a_reset(ours: str, mtype: list[str]) -> None:
    """A client that begins anew at the same port does not know what the one before has begun."""
    port = str(free_port())
    with observing(ours, *mtype, "-p", port, "-T", "first") as process:
        process.kill()
        process.wait()
        command = ("-v", "7", "-p", port, "-T", "other", "-B", "3", f"{ours}/slow")
        with subprocess.Popen(
            (program("coap-client-notls"), *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as successor:
            assert successor.stdout is not None
            first = successor.stdout.readline()
            libcoap_client("-m", "put", "-e", "to nobody", f"{ours}/noted")
            told = first + successor.stdout.read()
    assert b"t:RST" in told
    assert libcoap_client(f"{ours}/observers").strip() == b"0"


def test_their_cancellation_by_silence() -> None:
    """A client that has stopped acknowledges nothing, and is given up at last."""
    with our_server("hasty") as server:
        uri = f"coap://127.0.0.1:{server.port}"
        with observing(uri) as process:
            process.send_signal(signal.SIGSTOP)
            libcoap_client("-m", "put", "-e", "to nobody", f"{uri}/noted")
            # It goes on being asked for a while.
            wait_for_observers(uri, 0)
            process.send_signal(signal.SIGCONT)


def test_our_cancellation_by_an_error(ours: str) -> None:
    with observing(ours) as process:
        libcoap_client("-m", "delete", f"{ours}/noted")
        assert libcoap_client(f"{ours}/observers").strip() == b"0"
        libcoap_client("-m", "put", "-e", "there again", f"{ours}/noted")
        process.terminate()
        assert process.stdout is not None
        told = process.stdout.read()
    assert b"4.04" in told
    assert b"there again" not in told


def test_their_wait_for_a_separate_response(ours: str, tmp_path: Path) -> None:
    assert libcoap_client(f"{ours}/slow").strip() == b"slow"
    assert libcoap_client("-N", f"{ours}/slow").strip() == b"slow"
    (tmp_path / "in").write_bytes(BODY)
    told = libcoap_client("-m", "post", "-f", str(tmp_path / "in"), f"{ours}/slow")
    assert told.strip() == (b"%d bytes, slowly " % len(BODY) * 500).strip()


def test_their_retransmission(ours: str) -> None:
    before = time.monotonic()
    assert libcoap_client("-l", "1", f"{ours}/stored").strip() == b"nothing yet"
    # The first one got lost indeed.
    assert time.monotonic() - before > 1


def test_their_errors(ours: str) -> None:
    assert b"4.04" in libcoap_client(f"{ours}/nothing")
    assert b"4.05" in libcoap_client("-m", "delete", f"{ours}/stored")
    assert b"5.00" in libcoap_client(f"{ours}/broken")
    assert b"on purpose" not in libcoap_client(f"{ours}/broken")
    assert b"5.05" in libcoap_client("-P", ours, "coap://192.0.2.1/elsewhere")
    # 2050 is elective, 2049 critical.
    assert libcoap_client("-O", "2050,x", f"{ours}/stored").strip() == b"nothing yet"
    assert b"4.02" in libcoap_client("-O", "2049,x", f"{ours}/stored")


def test_their_conditions(ours: str) -> None:
    uri = f"{ours}/guarded"
    create = ("-m", "put", "-e", "x", "-O", "5,", uri)
    assert libcoap_client(*create).strip() == b""
    assert b"4.12" in libcoap_client(*create)
    # Its ETag has the length in it: e1. What the client knows does not come again.
    assert libcoap_client("-O", "4,e1", uri).strip() == b""
    assert libcoap_client("-O", "4,e2", uri).strip() == b"x"
    assert libcoap_client("-m", "put", "-e", "yy", "-O", "1,e1", uri).strip() == b""
    assert b"4.12" in libcoap_client("-m", "put", "-e", "zz", "-O", "1,e1", uri)
    assert libcoap_client(uri).strip() == b"yy"


def test_ping_of_ours(ours: str) -> None:
    assert answer(int(ours.rsplit(":", 1)[1]), PING, 5) == PONG


def test_their_ping(ours: str) -> None:
    # It pings after a second of silence, which there is only while it observes.
    told = libcoap_client("-v", "7", "-K", "1", "-s", "2", f"{ours}/noted", seconds=4)
    sent = re.search(rb"t:CON c:0.00 i:(\w+) {} \[ \]", told)
    assert sent is not None
    assert b"t:RST c:0.00 i:%b {} [ ]" % sent[1] in told


def test_what_they_discover(ours: str) -> None:
    uri = f"{ours}/.well-known/core"
    assert b"</counted>;obs" in libcoap_client(uri)
    assert libcoap_client(f"{uri}?href=/sto*").strip() == b"</stored>"
    assert b"4.06" in libcoap_client("-A", "50", uri)


# The example server, as it is but for its port


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port, place = free_port(3000), tmp_path_factory.mktemp("example") / "server.py"
    text = (ROOT / "server.py").read_text(encoding="utf-8")
    call = "create_server_context(root)"
    assert text.count(call) == 1
    place.write_text(text.replace(call, f"create_server_context(root, (None, {port}))"))
    with Server([sys.executable, str(place)], port, PYTHONPATH=str(ROOT)):
        yield f"coap://127.0.0.1:{port}"


def test_the_example_server(example: str, tmp_path: Path) -> None:
    links = libcoap_client(f"{example}/.well-known/core")
    for path in (b"</time>;obs", b"</other/block>", b"</other/separate>", b"</whoami>"):
        assert path in links
    assert re.fullmatch(rb"[\d-]{10} [\d:]{8}", libcoap_client(f"{example}/time").strip())
    assert libcoap_client(f"{example}/other/block").startswith(b"More than a kilobyte")
    (tmp_path / "in").write_bytes(BODY)
    upload = ("-m", "put", "-f", str(tmp_path / "in"), "-o", str(tmp_path / "out"))
    libcoap_client(*upload, f"{example}/other/block")
    # Its answer is what it has now, which is as long.
    assert (tmp_path / "out").read_bytes() == BODY
    assert b"127.0.0.1" in libcoap_client(f"{example}/whoami")


def test_the_example_server_takes_its_time(example: str) -> None:
    assert libcoap_client(f"{example}/other/separate").startswith(b"Three rings")


def test_the_example_server_is_observed(example: str) -> None:
    told = libcoap_client("-w", "-s", "6", f"{example}/time", seconds=8).split(b"\n")
    assert len({line for line in told if line}) == 2
