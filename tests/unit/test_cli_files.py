"""The files of a tree as resources."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aiocoap import error, interfaces
from aiocoap.cli import _files
from aiocoap.cli._files import Files
from aiocoap.cli._tree import Tree
from aiocoap.message import Message
from aiocoap.numbers.codes import CONTENT, FETCH, GET, PUT, VALID, Code
from aiocoap.numbers.types import CON
from tests.unit.block_parts import BERT_PEER, PEER

needs_links = pytest.mark.skipif(find_spec("link_header") is None, reason="needs LinkHeader")
BODY = bytes(index % 251 for index in range(3000))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file.txt").write_bytes(b"content")
    (root / "big").write_bytes(BODY)
    (root / "sub" / "a:b.json").write_bytes(b"{}")
    return root


@pytest.fixture
def files(root: Path) -> Iterator[Files]:
    files = Files(Tree(str(root)), clock=later)
    yield files
    files.close()


def later() -> float:
    """Tell a time at which the latest changes are long ago."""
    return 2.0**40


def asking(*path: str, code: Code = GET, **options: Any) -> Message:
    request = Message(code=code, uri_path=path, **options)
    request.remote = PEER
    return request


async def get(files: Files, *path: str, **options: Any) -> Message:
    return await files.render(asking(*path, **options))


# Files


async def test_a_file(files: Files) -> None:
    response = await get(files, "file.txt")
    assert (response.code, response.payload) == (CONTENT, b"content")
    assert response.opt.content_format == 0
    assert len(response.opt.etag or b"") == 8
    assert (response.opt.block2, response.opt.size2) == (None, None)
    assert not await files.needs_blockwise_assembly(asking("file.txt"))


async def test_an_empty_file(files: Files, root: Path) -> None:
    (root / "empty").touch()
    response = await get(files, "empty", block2=(0, False, 6), size2=0)
    assert (response.code, response.payload, response.opt.size2) == (CONTENT, b"", 0)
    assert response.opt.block2 is None
    with pytest.raises(error.BadRequest):
        await get(files, "empty", block2=(1, False, 6))


async def test_a_file_in_blocks(files: Files) -> None:
    first = await get(files, "big")
    assert (first.opt.block2, first.opt.size2) == ((0, True, 6), 3000)
    second = await get(files, "big", block2=(1, False, 6))
    third = await get(files, "big", block2=(2, False, 6), size2=0)
    assert (second.opt.block2, second.opt.size2) == ((1, True, 6), None)
    assert (third.opt.block2, third.opt.size2) == ((2, False, 6), 3000)
    assert first.payload + second.payload + third.payload == BODY
    assert first.opt.etag == second.opt.etag == third.opt.etag
    assert third.opt.content_format == 42


async def test_the_client_chooses_smaller_blocks(files: Files) -> None:
    response = await get(files, "big", block2=(0, False, 2))
    assert (response.opt.block2, response.payload) == ((0, True, 2), BODY[:64])
    response = await get(files, "big", block2=(46, False, 2))
    assert (response.opt.block2, response.payload) == ((46, False, 2), BODY[46 * 64 :])


@pytest.mark.parametrize("block2", [(3, False, 6), (47, False, 2), (2**20 - 1, False, 6)])
async def test_blocks_beyond_the_end(files: Files, block2: Any) -> None:
    with pytest.raises(error.BadRequest):
        await get(files, "big", block2=block2)


async def test_the_reserved_block_size(files: Files) -> None:
    response = await get(files, "big", block2=(0, False, 7))
    assert response.code.dotted == "4.00"


async def test_many_blocks_in_a_message(files: Files) -> None:
    request = asking("big")
    request.remote = BERT_PEER
    assert (await files.render(request)).payload == BODY
    request = asking("big", block2=(1, False, 7))
    request.remote = BERT_PEER
    response = await files.render(request)
    assert (response.opt.block2, response.payload) == ((1, False, 7), BODY[1024:])


async def test_blocks_to_strangers_are_small(files: Files) -> None:
    request = asking("big")
    request.mtype, request.response_limit = CON, 100
    response = await files.render(request)
    assert (response.opt.block2, response.payload) == ((0, True, 2), BODY[:64])


async def test_files_with_too_many_blocks(files: Files, root: Path) -> None:
    os.truncate(root / "big", 2**24)
    assert (await get(files, "big", block2=(2**20 - 1, False, 0))).payload == bytes(16)
    os.truncate(root / "big", 2**24 + 1)
    with pytest.raises(error.BadRequest):
        await get(files, "big", block2=(0, False, 0))
    assert (await get(files, "big", block2=(0, False, 1))).code == CONTENT


async def test_known_files_are_not_sent_again(files: Files, root: Path) -> None:
    etag = (await get(files, "file.txt")).opt.etag
    response = await get(files, "file.txt", etags=[b"other", etag])
    assert (response.code, response.payload, response.opt.etag) == (VALID, b"", etag)
    (root / "file.txt").write_bytes(b"changed")
    assert (await get(files, "file.txt", etags=[etag])).payload == b"changed"


async def test_every_change_changes_the_etag(files: Files, root: Path) -> None:
    file = root / "file.txt"

    async def etag() -> bytes:
        return (await get(files, "file.txt")).opt.etag or b""

    seen = {await etag()}
    times = file.stat()
    file.write_bytes(b"content, more of it")
    seen.add(await etag())
    os.utime(file, ns=(0, 1))
    seen.add(await etag())
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    seen.add(await etag())
    (root / "copy").write_bytes(file.read_bytes())
    (root / "copy").rename(file)
    seen.add(await etag())
    assert len(seen) == 5


@needs_links
@pytest.mark.parametrize("length", [0, 1, 8])
async def test_the_length_of_etags(root: Path, length: int) -> None:
    files = Files(Tree(str(root)), length, clock=later)
    for path in ("file.txt",), ():
        response = await get(files, *path)
        assert len(response.opt.etag or b"") == length
        response = await get(files, *path, if_match=[b""], etags=[response.opt.etag or b"x"])
        assert response.code == (VALID if length else CONTENT)
    files.close()


@needs_links
async def test_conditions(files: Files) -> None:
    for path in ("file.txt",), ():
        etag = (await get(files, *path)).opt.etag
        assert (await get(files, *path, if_match=[b"x", etag])).code == CONTENT
        assert (await get(files, *path, if_match=[b""])).code == CONTENT
        with pytest.raises(error.PreconditionFailed):
            await get(files, *path, if_match=[b"x"])
        with pytest.raises(error.PreconditionFailed):
            await get(files, *path, if_none_match=True)


async def test_formats(files: Files) -> None:
    assert (await get(files, "file.txt", accept=0)).code == CONTENT
    assert (await get(files, "big", accept=42)).code == CONTENT
    with pytest.raises(error.NotAcceptable):
        await get(files, "file.txt", accept=42)


async def test_files_that_change_while_they_are_read(
    files: Files, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_read, times = os.pread, [0]

    def read(file: int, size: int, start: int) -> bytes:
        data = really_read(file, size, start)
        times[0] -= 1
        if times[0] >= 0:
            with (root / "big").open("ab") as growing:
                growing.write(b"x")
        return data

    monkeypatch.setattr(os, "pread", read)
    monkeypatch.setattr(_files, "QUIET_TIME", 0.0)
    times[0] = 2
    response = await get(files, "big")
    assert (response.opt.size2, times[0]) == (3002, -1)
    times[0] = 20
    with pytest.raises(error.ServiceUnavailable):
        await get(files, "big")


async def test_files_that_have_only_just_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = (root / "big").stat().st_ctime
    # By a clock that is an hour ahead, a file can be new for long; nobody waits for that.
    for ages, waits in (
        ([0.0, 0.0099, 0.0101], 2),
        ([-0.003, 0.03], 1),
        ([-3600.0], 0),
        ([0.001] * 20, 20),
    ):
        waited: list[float] = []

        async def sleep(seconds: float, waited: list[float] = waited) -> None:
            waited.append(seconds)

        clock = iter([changed + age for age in ages])
        files = Files(Tree(str(root)), clock=lambda clock=clock: next(clock))  # type: ignore[misc]
        monkeypatch.setattr(_files.asyncio, "sleep", sleep)
        if waits < 20:
            assert (await get(files, "big")).code == CONTENT
        else:
            with pytest.raises(error.ServiceUnavailable):
                await get(files, "big")
        assert waited == [0.01] * waits
        files.close()


async def test_small_files_that_change_all_the_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = (root / "file.txt").stat().st_ctime
    files = Files(Tree(str(root)), clock=lambda: changed)
    monkeypatch.setattr(_files, "_TRIES", 2)
    assert (await get(files, "file.txt")).payload == b"content"
    files.close()


async def test_files_that_end_early(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "QUIET_TIME", 0.0)
    monkeypatch.setattr(os, "pread", lambda *_: b"short")
    with pytest.raises(error.ServiceUnavailable):
        await get(files, "big")


async def test_only_reading(files: Files) -> None:
    for code in Code:
        if code.is_request() and code != GET:
            with pytest.raises(error.MethodNotAllowed):
                await files.render(asking("file.txt", code=code))
    assert not await files.needs_blockwise_assembly(asking("sub", code=PUT))


# What can not be served


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (["missing"], error.NotFound),
        (["file.txt", ""], error.NotFound),
        (["file.txt", "x"], error.NotFound),
        (["..", "root", "file.txt"], error.BadRequest),
        (["sub", "", "a:b.json"], error.BadRequest),
        (["sub/a:b.json"], error.BadRequest),
        (["file.txt\0"], error.BadRequest),
    ],
)
async def test_what_is_not_there(
    files: Files, path: list[str], problem: type[error.RenderableError]
) -> None:
    assert not await files.needs_blockwise_assembly(asking(*path))
    with pytest.raises(problem) as raised:
        await get(files, *path)
    assert b"root" not in raised.value.to_message().payload


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENAMETOOLONG, error.NotFound),
        (errno.EACCES, error.Forbidden),
        (errno.EROFS, error.Forbidden),
        (errno.ENOSPC, error.ServiceUnavailable),
        (errno.EMFILE, error.ServiceUnavailable),
        (errno.EFBIG, error.InternalServerError),
        (errno.EIO, OSError),
    ],
)
async def test_what_the_system_refuses(
    files: Files, number: int, problem: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no", "/a/path/that/nobody/needs/to/know")

    monkeypatch.setattr(Tree, "open", refuse)
    with pytest.raises(problem) as raised:
        await get(files, "file.txt")
    if isinstance(raised.value, error.RenderableError):
        assert b"path" not in raised.value.to_message().payload


# Listings


@needs_links
async def test_listings(files: Files) -> None:
    response = await get(files)
    assert response.code == CONTENT
    assert response.payload == b"<big>,<file.txt>;ct=0,<sub/>;ct=40"
    assert response.opt.content_format == 40
    assert (await get(files, "")).payload == response.payload
    for path in ((), ("sub",), ("sub", "")):
        assert await files.needs_blockwise_assembly(asking(*path))


@needs_links
async def test_references_fit_both_names_of_a_folder(files: Files, root: Path) -> None:
    assert (await get(files, "sub", "")).payload == b"<./a:b.json>;ct=50"
    assert (await get(files, "sub")).payload == b"<sub/a:b.json>;ct=50"
    (root / "sub").rename(root / "s:b ü")
    assert (await get(files, "s:b ü")).payload == b"<./s:b%20%C3%BC/a:b.json>;ct=50"
    (root / "s:b ü" / "more").mkdir()
    assert (await get(files, "s:b ü", "")).payload == b"<./a:b.json>;ct=50,<more/>;ct=40"


@needs_links
@pytest.mark.parametrize(
    ("path", "queries", "listing"),
    [
        ((), ["ct=0"], b"<file.txt>;ct=0"),
        ((), ["href=*"], b"<big>,<file.txt>;ct=0,<sub/>;ct=40"),
        ((), ["href=b*"], b"<big>"),
        ((), ["ct=40", "href=sub/"], b"<sub/>;ct=40"),
        ((), ["ct=40", "href=big"], b""),
        (("sub",), ["href=sub/a*"], b"<sub/a:b.json>;ct=50"),
        (("sub", ""), ["rt=x"], b""),
    ],
)
async def test_listings_of_what_matches(
    files: Files, path: tuple[str, ...], queries: list[str], listing: bytes
) -> None:
    response = await get(files, *path, uri_query=queries)
    assert (response.code, response.payload) == (CONTENT, listing)


@needs_links
async def test_listings_of_who_knows_what(files: Files) -> None:
    with pytest.raises(error.BadRequest):
        await get(files, uri_query=["rt"])
    # For files, queries mean nothing.
    assert (await get(files, "file.txt", uri_query=["rt"])).code == CONTENT


@needs_links
async def test_listings_in_other_formats(files: Files) -> None:
    response = await get(files, accept=504)
    assert response.payload.startswith(b'[{"href":')
    assert response.opt.etag != (await get(files)).opt.etag
    assert (await get(files, accept=0)).code.dotted == "4.06"


@needs_links
async def test_known_listings_are_not_sent_again(files: Files, root: Path) -> None:
    etag = (await get(files)).opt.etag
    assert (await get(files, etags=[etag])).code == VALID
    (root / "new").touch()
    assert (await get(files, etags=[etag])).code == CONTENT


async def test_listings_without_the_package(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "aiocoap.util.linkformat", None)
    with pytest.raises(error.InternalServerError, match="pip install"):
        await get(files)


def test_links_for_the_list_of_resources(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    root = '</>;ct="40 64 504"'
    links = f"{root},</big>,</file.txt>;ct=0,</sub/>;ct=40"
    assert str(files.get_resources_as_linkheader()) == links

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(Tree, "entries", refuse)
    assert str(files.get_resources_as_linkheader()) == root


# Observation


class Observation(interfaces.ServerObservation):
    def __init__(self) -> None:
        self.ended: Any = None
        self.triggered = 0

    def accept(self, cancellation_callback: Any) -> None:
        self.ended = cancellation_callback

    def deregister(self, reason: str | None = None) -> None:
        raise AssertionError

    def trigger(self, response: Message | None = None, *, is_last: bool = False) -> None:
        self.triggered += 1


async def observe(files: Files, *path: str, code: Code = GET) -> Observation:
    observation = Observation()
    await files.add_observation(asking(*path, code=code, observe=0), observation)
    return observation


async def test_changes_of_files_are_told(files: Files, root: Path) -> None:
    one, two = await observe(files, "file.txt"), await observe(files, "file.txt")
    other = await observe(files, "big")
    files.poll()
    assert (one.triggered, two.triggered) == (0, 0)
    (root / "file.txt").write_bytes(b"something longer")
    files.poll()
    files.poll()
    assert (one.triggered, two.triggered, other.triggered) == (1, 1, 0)
    one.ended()
    (root / "file.txt").unlink()
    files.poll()
    files.poll()
    assert (one.triggered, two.triggered) == (1, 2)
    two.ended()
    other.ended()
    other.ended()
    assert files._watches == {}


async def test_changes_of_folders_are_told(files: Files, root: Path) -> None:
    folder = await observe(files)
    (root / "file.txt").write_bytes(b"this is not in the listing")
    files.poll()
    # Neither is this, though it is in the folder.
    (root / ".aiocoap-upload-1").touch()
    files.poll()
    assert folder.triggered == 0
    (root / "new").touch()
    files.poll()
    assert folder.triggered == 1
    (root / "new").unlink()
    (root / "new").mkdir()
    files.poll()
    assert folder.triggered == 2


async def test_what_can_not_be_observed(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await observe(files, "missing")).ended is None
    assert (await observe(files, "..")).ended is None
    assert (await observe(files, "file.txt", code=FETCH)).ended is None
    monkeypatch.setattr(_files, "MAX_WATCHED", 1)
    assert (await observe(files, "file.txt")).ended is not None
    assert (await observe(files, "file.txt")).ended is not None
    assert (await observe(files, "big")).ended is None


async def test_a_lack_of_descriptors_is_no_change(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    observation = await observe(files, "file.txt")

    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    number = errno.EMFILE
    monkeypatch.setattr(Tree, "stat", refuse)
    files.poll()
    assert observation.triggered == 0
    number = errno.EACCES
    files.poll()
    assert observation.triggered == 1


async def test_one_timer_for_all(files: Files) -> None:
    assert files._poll_timer is None
    one, two = await observe(files, "file.txt"), await observe(files, "big")
    timer = files._poll_timer
    assert timer is not None
    one.ended()
    assert not timer.cancelled()
    files.poll()
    assert timer.cancelled()
    timer = files._poll_timer
    assert timer is not None
    two.ended()
    assert timer.cancelled()
    files.poll()
    assert files._poll_timer is None


async def test_closing(root: Path) -> None:
    files = Files(Tree(str(root)), clock=later)
    observation = await observe(files, "file.txt")
    timer = files._poll_timer
    assert timer is not None
    files.close()
    assert timer.cancelled()
    observation.ended()
    with pytest.raises(OSError, match="descriptor"):
        await get(files, "file.txt")
