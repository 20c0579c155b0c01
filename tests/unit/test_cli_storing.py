"""The files of a tree as resources that can be written."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiocoap import error
from aiocoap.address import UndecidedRemote
from aiocoap.cli import _tree
from aiocoap.cli._storing import MAX_UPLOADS, WritableFiles
from aiocoap.cli._tree import Tree
from aiocoap.message import Message
from aiocoap.numbers.codes import CHANGED, CONTENT, CONTINUE, CREATED, DELETE, DELETED, GET, PUT
from tests.unit.block_parts import PEER
from tests.unit.test_cli_files import later, observe

LIMIT = 5000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "file").write_bytes(b"content")
    (tmp_path / "secret").write_bytes(b"secret")
    return root


@pytest.fixture
def files(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritableFiles]:
    # Unfinished files have names, so that they can be counted.
    monkeypatch.setattr(_tree, "_UNNAMED", 0)
    files = WritableFiles(Tree(str(root)), max_size=LIMIT, clock=later)
    yield files
    files.close()
    assert list(root.rglob(".aiocoap-upload-*")) == []


def asking(*path: str, code: int = PUT, payload: bytes = b"", **options: Any) -> Message:
    request = Message(code=code, uri_path=path, payload=payload, **options)
    request.remote = PEER
    return request


async def put(files: WritableFiles, *path: str, payload: bytes = b"new", **options: Any) -> Message:
    assert not await files.needs_blockwise_assembly(asking(*path))
    return await files.render(asking(*path, payload=payload, **options))


async def delete(files: WritableFiles, *path: str, **options: Any) -> Message:
    return await files.render(asking(*path, code=DELETE, **options))


async def etag(files: WritableFiles, *path: str) -> bytes:
    return (await files.render(asking(*path, code=GET))).opt.etag or b""


def drafts(root: Path) -> int:
    return len(list(root.rglob(".aiocoap-upload-*")))


# Whole files


async def test_files_are_created_and_changed(files: WritableFiles, root: Path) -> None:
    response = await put(files, "sub", "new", payload=b"1")
    assert (response.code, response.opt.etag) == (CREATED, await etag(files, "sub", "new"))
    assert (root / "sub" / "new").read_bytes() == b"1"
    response = await put(files, "sub", "new", payload=b"2")
    assert (response.code, response.opt.etag) == (CHANGED, await etag(files, "sub", "new"))
    assert (root / "sub" / "new").read_bytes() == b"2"
    await put(files, "sub", "new", payload=b"", content_format=50)
    assert (root / "sub" / "new").read_bytes() == b""
    assert drafts(root) == 0


async def test_files_without_etags(root: Path) -> None:
    files = WritableFiles(Tree(str(root)), 0, max_size=LIMIT, clock=later)
    assert (await put(files, "file")).opt.etag is None
    assert (await put(files, "file", if_match=[b""])).code == CHANGED
    with pytest.raises(error.PreconditionFailed):
        await put(files, "file", if_match=[b"x"])
    files.close()


async def test_files_are_removed(files: WritableFiles, root: Path) -> None:
    assert (await delete(files, "file")).code == DELETED
    assert not (root / "file").exists()
    assert (await delete(files, "file")).code == DELETED
    assert (await delete(files, "missing", "file")).code == DELETED


async def test_conditions(files: WritableFiles, root: Path) -> None:
    tag = await etag(files, "file")
    for act in put, delete:
        with pytest.raises(error.PreconditionFailed):
            await act(files, "file", if_match=[b"x"])
        with pytest.raises(error.PreconditionFailed):
            await act(files, "new", if_match=[b""])
        with pytest.raises(error.PreconditionFailed):
            await act(files, "file", if_none_match=True)
    assert (root / "file").read_bytes() == b"content"
    assert (await put(files, "file", if_match=[b"x", tag])).code == CHANGED
    assert (await put(files, "new", if_none_match=True)).code == CREATED
    assert (await delete(files, "new", if_match=[b""])).code == DELETED
    with pytest.raises(error.PreconditionFailed):
        await put(files, "file", if_match=[tag])


@pytest.mark.parametrize("path", [[], [""], ["sub"], ["sub", ""]])
async def test_folders_can_only_be_read(files: WritableFiles, root: Path, path: list[str]) -> None:
    with pytest.raises(error.MethodNotAllowed, match="Folders"):
        await put(files, *path)
    with pytest.raises(error.MethodNotAllowed, match="Folders"):
        await delete(files, *path)
    assert (root / "sub").is_dir()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        (["..", "secret"], error.BadRequest),
        (["../secret"], error.BadRequest),
        (["sub", "", "new"], error.BadRequest),
        (["new\0"], error.BadRequest),
        (["link", "new"], error.NotFound),
        (["missing", "new"], error.NotFound),
        (["file", "new"], error.NotFound),
        (["filelink"], error.Forbidden),
        (["fifo"], error.Forbidden),
        ([".aiocoap-upload-0123456789abcdef"], error.NotFound),
    ],
)
@pytest.mark.parametrize("block1", [None, (0, True, 0), (0, False, 0)])
async def test_places_that_can_not_be_written_to(
    files: WritableFiles, root: Path, path: list[str], problem: type[Exception], block1: Any
) -> None:
    (root / "link").symlink_to("..")
    (root / "filelink").symlink_to("../secret")
    os.mkfifo(root / "fifo")
    before = sorted(root.parent.rglob("*"))
    with pytest.raises(problem):
        await put(files, *path, payload=b"x" * 16, block1=block1)
    try:
        await delete(files, *path)
    except problem:
        pass
    else:
        # It does not exist, which is all that was asked for.
        assert problem is error.NotFound
    assert sorted(root.parent.rglob("*")) == before
    assert (root.parent / "secret").read_bytes() == b"secret"


async def test_files_that_are_too_large(files: WritableFiles) -> None:
    with pytest.raises(error.RequestEntityTooLarge):
        await put(files, "new", payload=b"x" * (LIMIT + 1))


async def test_a_full_disk(
    files: WritableFiles, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_write = os.write

    def write(file: int, data: bytes) -> int:
        if bytes(data[:1]) == b"!":
            raise OSError(errno.ENOSPC, "full")
        return really_write(file, data)

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(error.ServiceUnavailable):
        await put(files, "file", payload=b"!")
    await put(files, "file", payload=b"x" * 16, block1=(0, True, 0))
    assert drafts(root) == 1
    with pytest.raises(error.ServiceUnavailable):
        await put(files, "file", payload=b"!" * 16, block1=(1, True, 0))
    assert drafts(root) == 0
    assert (root / "file").read_bytes() == b"content"
    response = await put(files, "file", payload=b"x" * 16, block1=(1, True, 0))
    assert response.code.dotted == "4.08"


async def test_removal_that_is_refused(
    files: WritableFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(error.Forbidden):
        await delete(files, "file")
    monkeypatch.setattr(Tree, "stat", refuse)
    with pytest.raises(error.Forbidden):
        await delete(files, "file")


# Files in blocks


async def test_blocks_become_a_file(files: WritableFiles, root: Path) -> None:
    for number in (0, 1, 1):
        block = (number, True, 6)
        response = await put(files, "file", payload=b"%d" % number * 1024, block1=block)
        assert (response.code, response.opt.block1) == (CONTINUE, block)
        assert (root / "file").read_bytes() == b"content"
    response = await put(files, "file", payload=b"end", block1=(2, False, 6))
    assert (response.code, response.opt.block1) == (CHANGED, (2, False, 6))
    assert response.opt.etag == await etag(files, "file")
    assert (root / "file").read_bytes() == b"0" * 1024 + b"1" * 1024 + b"end"
    assert drafts(root) == 0


async def test_a_file_of_one_block(files: WritableFiles, root: Path) -> None:
    response = await put(files, "new", block1=(0, False, 6))
    assert (response.code, response.opt.block1) == (CREATED, (0, False, 6))
    assert (root / "new").read_bytes() == b"new"


async def test_blocks_are_missing(files: WritableFiles, root: Path) -> None:
    await put(files, "new", payload=b"x" * 16, block1=(0, True, 0))
    response = await put(files, "new", payload=b"x" * 16, block1=(2, True, 0))
    assert response.code.dotted == "4.08"
    response = await put(files, "other", payload=b"x", block1=(1, False, 0))
    assert response.code.dotted == "4.08"
    await put(files, "new", payload=b"x", block1=(1, False, 0))
    assert (root / "new").read_bytes() == b"x" * 17


async def test_uploads_that_are_too_large(files: WritableFiles, root: Path) -> None:
    response = await put(files, "new", payload=b"x" * 16, block1=(0, True, 0), size1=LIMIT + 1)
    assert (response.code.dotted, response.opt.size1) == ("4.13", LIMIT)
    for number in range(4):
        await put(files, "new", payload=b"x" * 1024, block1=(number, True, 6))
    response = await put(files, "new", payload=b"x" * 1024, block1=(4, True, 6))
    assert (response.code.dotted, response.opt.size1) == ("4.13", LIMIT)
    assert drafts(root) == 0
    assert not (root / "new").exists()


async def test_conditions_at_the_beginning(files: WritableFiles, root: Path) -> None:
    with pytest.raises(error.PreconditionFailed):
        await put(files, "file", payload=b"x" * 16, block1=(0, True, 0), if_none_match=True)
    with pytest.raises(error.PreconditionFailed):
        await put(files, "file", payload=b"x" * 16, block1=(0, True, 0), if_match=[b"x"])
    assert drafts(root) == 0


async def test_conditions_at_the_end(files: WritableFiles, root: Path) -> None:
    # If-None-Match comes with the first block only (RFC 7959 section 2.10).
    await put(files, "new", payload=b"x" * 16, block1=(0, True, 0), if_none_match=True)
    (root / "new").write_bytes(b"by somebody else")
    with pytest.raises(error.PreconditionFailed):
        await put(files, "new", payload=b"x", block1=(1, False, 0))
    assert (root / "new").read_bytes() == b"by somebody else"
    tag = await etag(files, "file")
    await put(files, "file", payload=b"x" * 16, block1=(0, True, 0), if_match=[tag])
    (root / "file").write_bytes(b"by somebody else")
    with pytest.raises(error.PreconditionFailed):
        await put(files, "file", payload=b"x", block1=(1, False, 0), if_match=[tag])
    assert (root / "file").read_bytes() == b"by somebody else"
    assert drafts(root) == 0


async def test_uploads_at_a_time_do_not_mix(files: WritableFiles, root: Path) -> None:
    for name in ("one", "two"):
        request = asking("new", payload=name.encode().ljust(16), block1=(0, True, 0))
        request.remote = UndecidedRemote("coap", name)
        assert (await files.render(request)).code == CONTINUE
    assert drafts(root) == 2
    for name in ("two", "one"):
        request = asking("new", payload=b"end", block1=(1, False, 0))
        request.remote = UndecidedRemote("coap", name)
        await files.render(request)
        assert (root / "new").read_bytes().startswith(name.encode())


async def test_uploads_are_bounded(files: WritableFiles, root: Path) -> None:
    for number in range(MAX_UPLOADS):
        await put(files, f"new{number}", payload=b"x" * 16, block1=(0, True, 0))
        assert drafts(root) <= MAX_UPLOADS // 8
    for number in range(MAX_UPLOADS * 2):
        request = asking("new", payload=b"x" * 16, block1=(0, True, 0))
        request.remote = UndecidedRemote("coap", f"peer{number}")
        await files.render(request)
        assert drafts(root) <= MAX_UPLOADS


class Later:
    """The running loop, at another time."""

    def __init__(self, seconds: float) -> None:
        self.loop, self.seconds = asyncio.get_running_loop(), seconds

    def time(self) -> float:
        return self.loop.time() + self.seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loop, name)


async def test_abandoned_uploads_are_forgotten(
    files: WritableFiles, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(files, "new", payload=b"x" * 16, block1=(0, True, 0))
    timer = files._expiry
    assert timer is not None
    assert 200 < timer.when() - asyncio.get_running_loop().time() < 300
    await put(files, "other", payload=b"x" * 16, block1=(0, True, 0))
    assert files._expiry is timer
    files._expire()
    assert drafts(root) == 2
    later = Later(300)
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: later)
    files._expire()
    assert drafts(root) == 0
    assert files._expiry is None
    timer.cancel()


async def test_unfinished_uploads_end_with_the_server(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tree, "_UNNAMED", 0)
    files = WritableFiles(Tree(str(root)), max_size=LIMIT, clock=later)
    await put(files, "new", payload=b"x" * 16, block1=(0, True, 0))
    assert drafts(root) == 1
    timer = files._expiry
    assert timer is not None
    files.close()
    assert timer.cancelled()
    assert drafts(root) == 0


# Observation


async def test_observers_are_told_at_once(files: WritableFiles) -> None:
    file = await observe(files, "sub", "new")
    assert file.ended is None
    await put(files, "sub", "new")
    file = await observe(files, "sub", "new")
    folders = [await observe(files, "sub"), await observe(files, "sub", "")]
    await put(files, "sub", "new", payload=b"changed")
    assert (file.triggered, [folder.triggered for folder in folders]) == (1, [0, 0])
    await put(files, "sub", "another")
    assert (file.triggered, [folder.triggered for folder in folders]) == (1, [1, 1])
    await put(files, "sub", "new", payload=b"x" * 16, block1=(0, True, 0))
    files.poll()
    assert (file.triggered, [folder.triggered for folder in folders]) == (1, [1, 1])
    await delete(files, "sub", "new")
    assert (file.triggered, [folder.triggered for folder in folders]) == (2, [2, 2])


async def test_what_is_written_can_be_read(files: WritableFiles) -> None:
    await put(files, "data.json", payload=b"{}")
    response = await files.render(asking("data.json", code=GET))
    assert (response.code, response.payload, response.opt.content_format) == (CONTENT, b"{}", 50)
