"""Many connections that nobody uses, in processes of their own; see ``test_many_connections``.

The server's process prints, as JSON, what they cost it. Another has the clients' ends, as bare
sockets, so that neither the files nor the memory of both are counted as one's.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiocoap import CONTENT, GET, Context, Message
from aiocoap.resource import Resource, Site
from aiocoap.sansio.framing import FrameReader, encode_frame
from tests.integration.net import until

GREETING = bytes.fromhex("00e1")
ASKED = encode_frame(Message(code=GET, token=b"t", uri_path=["hello"]))
SPARE = 256
"""Files that a process needs beside its connections; a server keeps 128 of them free."""


class Hello(Resource):
    async def render_get(self, request: Message) -> Message:
        return Message(payload=b"hello")


def resident() -> int:
    """Return the size of the process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def ask(sock: socket.socket) -> float:
    """Ask by a connection that is there, and return the seconds that it took."""
    began = time.perf_counter()
    sock.sendall(ASKED)
    frames = FrameReader(1 << 16)
    while True:
        data = sock.recv(4096)
        assert data, "the server has closed the connection"
        for message in frames.feed(data):
            if message.token == b"t":
                assert message.code == CONTENT
                return time.perf_counter() - began


def clients(port: int, count: int) -> None:
    """Have the other ends: open them, ask by some, and be gone without a word."""
    sockets = []
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(GREETING)
        sockets.append(sock)
    print("open", flush=True)
    sys.stdin.readline()
    print(max(ask(sock) for sock in sockets[:: count // 10]), flush=True)
    sys.stdin.readline()


async def main(count: int) -> dict[str, Any]:
    site = Site()
    site.add_resource(["hello"], Hello())
    loop = asyncio.get_running_loop()
    async with await Context.create_server_context(
        site, bind=("127.0.0.1", 0), transports=["tcpserver"]
    ) as context:
        _, port = context.bound_addresses[0]
        interface: Any = context.request_interfaces[0]
        pool = interface.token_interface
        gc.collect()
        before, began, cpu = resident(), time.perf_counter(), time.process_time()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "clients", str(port), str(count)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert await child.stdout.readline() == b"open\n"
        await until(lambda: all(found.signaling.is_open for found in pool.connections))
        opened, cpu = time.perf_counter() - began, time.process_time() - cpu
        there = len(pool.connections)
        gc.collect()
        grown = resident() - before
        timers = len(loop._scheduled)  # type: ignore[attr-defined]
        child.stdin.write(b"\n")
        slowest = float(await child.stdout.readline())
        # Nothing is done for connections that nothing comes from.
        idle = time.process_time()
        await asyncio.sleep(1.0)
        idle = time.process_time() - idle
        child.kill()
        await child.wait()
        await until(lambda: not pool.connections)
    return {
        "connections": there,
        "bytes_each": grown / count,
        "cpu_each": cpu / count,
        "seconds": opened,
        "timers": timers,
        "slowest_answer": slowest,
        "idle_cpu": idle,
    }


if __name__ == "__main__":
    wanted = int(sys.argv[-1])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted + SPARE:
        print(json.dumps({"hard_limit": hard}))
    else:
        if soft != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted + SPARE, soft), hard))
        if sys.argv[1] == "clients":
            clients(int(sys.argv[2]), wanted)
        else:
            print(json.dumps(asyncio.run(main(wanted))))
