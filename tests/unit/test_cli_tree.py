"""The files below one folder, and nothing else."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aiocoap.cli import _tree
from aiocoap.cli._tree import Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with some things in it, and a secret beside it."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "file").write_text("content")
    (root / "sub" / "other").write_text("more")
    return root


@pytest.fixture(params=["unnamed", "named"])
def drafts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether unfinished files may do without a name, which not every file system can."""
    if request.param == "named":
        monkeypatch.setattr(_tree, "_UNNAMED", 0)
    return str(request.param)


@pytest.fixture
def tree(root: Path, drafts: str) -> Iterator[Tree]:
    before = set(os.listdir("/proc/self/fd"))
    tree = Tree(str(root))
    yield tree
    tree.close()
    assert set(os.listdir("/proc/self/fd")) - before == set(), "a descriptor was left open"


def read(tree: Tree, *path: str) -> bytes:
    file, found = tree.open(path)
    try:
        assert os.path.samestat(os.fstat(file), found)
        return os.read(file, 1000)
    finally:
        os.close(file)


def put(tree: Tree, *path: str, data: bytes = b"new") -> None:
    draft = tree.create(path)
    draft.write(data)
    draft.commit()


@contextmanager
def refused(*numbers: int) -> Iterator[None]:
    with pytest.raises(OSError, match="Errno") as problem:
        yield
    assert problem.value.errno in numbers


# What is there


def test_files_and_folders(tree: Tree) -> None:
    assert read(tree, "file") == b"content"
    assert read(tree, "sub", "other") == b"more"
    for folder in ((), ("",), ("sub",), ("sub", ""), ("sub", "deeper", "")):
        assert stat.S_ISDIR(tree.stat(folder).st_mode)
    assert tree.stat(("file",)).st_size == 7


def test_lists_are_in_order(tree: Tree) -> None:
    assert tree.entries(()) == tree.entries(("",)) == [("file", False), ("sub", True)]
    assert (
        tree.entries(("sub",)) == tree.entries(("sub", "")) == [("deeper", True), ("other", False)]
    )
    assert tree.entries(("sub", "deeper")) == []


def test_the_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    tree = Tree(str(tmp_path / "link"))
    assert read(tree, "file") == b"content"
    tree.close()


def test_roots_that_are_none(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Tree(str(root / "missing"))
    with pytest.raises(NotADirectoryError):
        Tree(str(root / "file"))


def test_names_of_all_kinds(tree: Tree, root: Path) -> None:
    names = ["a b", "ü", "%2F", "...", "..a", "-", "~", "C:", "\\", "\n", "*", "x" * 255]
    for name in names:
        put(tree, name, data=name.encode())
        assert (root / name).read_text() == read(tree, name).decode() == name
    assert {name for name, _ in tree.entries(())} == {*names, "file", "sub"}


# What is not


NOT_NAMES = {
    "nothing in between": ["", "file"],
    "nothing twice": ["sub", "", ""],
    "nothing first": ["", "sub", "other"],
    "the folder": ["."],
    "the folder in between": ["sub", ".", "other"],
    "the folder above": ["..", "secret"],
    "the folder above and back": ["..", "root", "file"],
    "the folder above at the end": ["sub", ".."],
    "far above": ["..", "..", "..", "..", "etc", "passwd"],
    "a slash": ["sub/other"],
    "a slash to above": ["../secret"],
    "a slash at the beginning": ["/etc/passwd"],
    "a slash at the end": ["sub/", "other"],
    "a slash alone": ["/"],
    "a NUL": ["file\0"],
    "a NUL and more": ["file\0.txt"],
    "no UTF-8": ["file\udcff"],
}


@pytest.mark.parametrize("path", NOT_NAMES.values(), ids=NOT_NAMES)
def test_segments_that_are_no_names(tree: Tree, root: Path, path: list[str]) -> None:
    actions: list[Any] = [read, put, lambda tree, *path: tree.remove(path)]
    actions.append(lambda tree, *path: tree.stat(path))
    actions.append(lambda tree, *path: tree.entries(path))
    for action in actions:
        with refused(errno.EINVAL):
            action(tree, *path)
    untouched(root)


def untouched(root: Path) -> None:
    assert (root.parent / "secret").read_text() == "secret"
    assert [entry.name for entry in (root.parent / "secrets").iterdir()] == ["secret"]
    assert (root.parent / "secrets" / "secret").read_text() == "secret"
    assert {entry.name for entry in root.parent.iterdir()} == {"root", "secret", "secrets"}
    assert (root / "file").read_text() == "content"


def test_folders_are_no_files(tree: Tree) -> None:
    for path in ((), ("",), ("sub",), ("sub", "")):
        with pytest.raises(IsADirectoryError):
            read(tree, *path)
    with pytest.raises(FileNotFoundError):
        put(tree)
    with pytest.raises(IsADirectoryError):
        tree.remove(())
    for path in (("",), ("sub", "")):
        with refused(errno.EINVAL):
            put(tree, *path)
        with refused(errno.EINVAL):
            tree.remove(path)


LINKS = {
    "to a file outside": ("../secret", []),
    "to a folder outside": ("../secrets", ["secret"]),
    "to an absolute path": ("/etc/passwd", []),
    "to the file system's root": ("/", ["etc", "passwd"]),
    "to a file inside": ("file", []),
    "to a folder inside": ("sub", ["other"]),
    "to nothing": ("nowhere", []),
    "to itself": ("link", []),
    "to the folder": (".", ["file"]),
}


@pytest.mark.parametrize(("target", "rest"), LINKS.values(), ids=LINKS)
def test_links_do_not_exist(tree: Tree, root: Path, target: str, rest: list[str]) -> None:
    (root / "link").symlink_to(target)
    missing = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
    for path in (["link"], ["link", *rest], ["link", ""]):
        with refused(*missing):
            tree.stat(path)
        with refused(*missing, errno.EINVAL):
            read(tree, *path)
        with refused(*missing):
            tree.entries(path)
        with refused(*missing, errno.EACCES, errno.EINVAL):
            put(tree, *path)
        with refused(*missing, errno.EACCES, errno.EINVAL):
            tree.remove(path)
    assert tree.entries(()) == [("file", False), ("sub", True)]
    assert (root / "link").is_symlink()
    assert (root / "link").readlink() == Path(target)
    untouched(root)


def special(kind: str, path: Path) -> None:
    if kind == "FIFO":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))


@pytest.mark.parametrize("kind", ["FIFO", "socket", "device"])
def test_what_is_no_file_does_not_exist(
    tree: Tree, root: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Paths of sockets have to be short.
    monkeypatch.chdir(root)
    try:
        special(kind, Path("thing"))
    except PermissionError:
        assert kind == "device"
        special("FIFO", Path("thing"))
    before = os.lstat("thing")
    with pytest.raises(FileNotFoundError):
        tree.stat(("thing",))
    with pytest.raises(FileNotFoundError):
        read(tree, "thing")
    with pytest.raises(PermissionError):
        put(tree, "thing")
    with pytest.raises(PermissionError):
        tree.remove(("thing",))
    assert ("thing", False) not in tree.entries(())
    assert os.lstat("thing") == before


def test_files_are_no_folders(tree: Tree) -> None:
    for path in (("file", ""), ("file", "x")):
        with pytest.raises(NotADirectoryError):
            tree.stat(path)
    with pytest.raises(NotADirectoryError):
        tree.entries(("file",))


def test_files_that_become_something_else_are_not_read(
    tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_stat = os.stat

    def replace(name: Any, **options: Any) -> os.stat_result:
        found = really_stat(name, **options)
        (root / "file").unlink()
        becomes(root / "file")
        return found

    monkeypatch.setattr(os, "stat", replace)
    becomes: Any = os.mkfifo
    with pytest.raises(FileNotFoundError):
        read(tree, "file")
    (root / "file").unlink()
    (root / "file").write_text("content")
    becomes = os.mkdir
    with pytest.raises(IsADirectoryError):
        read(tree, "file")
    (root / "file").rmdir()
    (root / "file").write_text("content")
    becomes = lambda path: path.symlink_to("../secret")  # noqa: E731
    with refused(errno.ELOOP):
        read(tree, "file")


def test_entries_that_no_path_can_name(tree: Tree, root: Path) -> None:
    os.close(os.open(os.fsencode(root) + b"/\xff", os.O_CREAT))
    (root / ".aiocoap-upload-1234").touch()
    (root / ".AIOCOAP-UPLOAD-1234").touch()
    assert tree.entries(()) == [("file", False), ("sub", True)]
    for name in (".aiocoap-upload-1234", ".AIOCOAP-UPLOAD-1234"):
        with pytest.raises(FileNotFoundError):
            read(tree, name)
        with pytest.raises(FileNotFoundError):
            put(tree, name)
        with pytest.raises(FileNotFoundError):
            tree.remove((name,))


def test_folders_that_are_too_large(
    tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tree, "MAX_ENTRIES", 2)
    assert len(tree.entries(())) == 2
    (root / "third").touch()
    with refused(errno.EFBIG):
        tree.entries(())


# Writing


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_files_appear_when_they_are_whole(tree: Tree, root: Path, drafts: str) -> None:
    draft = tree.create(("sub", "new"))
    draft.write(b"one ")
    draft.write(b"")
    draft.write(b"two")
    temporary = names(root / "sub") - {"deeper", "other"}
    assert [name[:16] for name in temporary] == [".aiocoap-upload-"] * (drafts == "named")
    assert tree.entries(("sub",)) == [("deeper", True), ("other", False)]
    draft.commit()
    assert (root / "sub" / "new").read_bytes() == b"one two"
    assert names(root / "sub") == {"deeper", "other", "new"}


def test_files_that_are_given_up_leave_nothing(tree: Tree, root: Path) -> None:
    draft = tree.create(("file",))
    draft.write(b"new")
    draft.discard()
    assert (names(root), read(tree, "file")) == ({"file", "sub"}, b"content")
    draft = tree.create(("file",))
    for leftover in root.glob(".aiocoap-upload-*"):
        leftover.unlink()
    draft.discard()


def test_who_reads_the_former_file_reads_it_to_the_end(tree: Tree) -> None:
    file, _ = tree.open(("file",))
    try:
        put(tree, "file", data=b"replacement")
        assert os.read(file, 100) == b"content"
    finally:
        os.close(file)
    assert read(tree, "file") == b"replacement"


def test_permissions_are_the_former_files(tree: Tree, root: Path) -> None:
    (root / "file").chmod(0o640)
    put(tree, "file")
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o640
    put(tree, "new")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((root / "new").stat().st_mode) == 0o666 & ~umask


def test_short_writes_are_continued(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    really_write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: really_write(file, data[:2]))
    put(tree, "new", data=b"in pieces")
    assert read(tree, "new") == b"in pieces"


def test_files_that_may_not_be_written_to(
    tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As everybody but root would see it.
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    with pytest.raises(PermissionError):
        put(tree, "file")
    with pytest.raises(PermissionError):
        tree.remove(("file",))
    assert read(tree, "file") == b"content"
    put(tree, "new")


def test_removal(tree: Tree, root: Path) -> None:
    tree.remove(("sub", "other"))
    assert names(root / "sub") == {"deeper"}
    with pytest.raises(FileNotFoundError):
        tree.remove(("sub", "other"))
    for path in (("sub",), ("sub", "deeper")):
        with pytest.raises(IsADirectoryError):
            tree.remove(path)
        with pytest.raises(IsADirectoryError):
            put(tree, *path)


def test_folders_that_can_not_be_written_to(
    tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FileNotFoundError):
        tree.create(("missing", "new"))
    really_open = os.open

    def refuse(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_WRONLY:
            raise PermissionError(errno.EACCES, "no")
        return really_open(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError):
        tree.create(("new",))


def test_file_systems_without_unnamed_files(
    tree: Tree, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open = os.open

    def refuse(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_WRONLY and not flags & os.O_CREAT:
            raise OSError(errno.EOPNOTSUPP, "no")
        return really_open(path, flags, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    draft = tree.create(("new",))
    assert len(names(root)) == 3
    draft.write(b"x")
    draft.commit()
    assert read(tree, "new") == b"x"
    assert names(root) == {"file", "sub", "new"}


def test_folders_that_were_moved_away_get_nothing(tree: Tree, root: Path) -> None:
    draft = tree.create(("sub", "new"))
    (root / "sub").rename(root.parent / "moved")
    with pytest.raises(FileNotFoundError):
        draft.commit()
    (root / "sub").mkdir()
    assert names(root.parent / "moved") == {"deeper", "other"}
    (root / "sub").rmdir()
    (root.parent / "moved").rename(root / "sub")
    draft = tree.create(("sub", "new"))
    (root / "sub").rename(root.parent / "moved")
    (root / "sub").mkdir()
    with pytest.raises(FileNotFoundError):
        draft.commit()
    assert names(root.parent / "moved") == {"deeper", "other"}
    assert names(root / "sub") == set()


def test_places_that_were_taken_meanwhile(tree: Tree, root: Path) -> None:
    draft = tree.create(("new",))
    (root / "new").mkdir()
    with pytest.raises(IsADirectoryError):
        draft.commit()
    (root / "new").rmdir()
    draft = tree.create(("new",))
    (root / "new").symlink_to("../secret")
    with pytest.raises(PermissionError):
        draft.commit()
    assert names(root) == {"file", "sub", "new"}
    untouched(root)
