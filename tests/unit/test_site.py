"""Sites: which resource a path leads to, and who stands in the way."""

from __future__ import annotations

from typing import Any

import pytest

from aiocoap import error, interfaces
from aiocoap.message import Message
from aiocoap.numbers.codes import Code
from aiocoap.resource import (
    Site,
)
from tests.unit.resource_parts import CatchAll, Counting, Named, Observation, build, get

# Sites


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "root / /"),
        ("/", "root / /"),
        ("/a%20b", "blank / /a b"),
        ("/dir/", "directory / /dir/"),
        ("/batch/", "batch root / /batch/"),
        ("/batch/light1", "light1 / /batch/light1"),
        ("/batch/deep/er", "deeper / /batch/deep/er"),
        ("/files", "plain files / /files"),
        ("/files/", "files / /files/"),
        ("/files/x", "files /x /files/x"),
        ("/files/x/", "files /x/ /files/x/"),
        ("/files//", "files // /files//"),
        ("/files/more/of", "files /more/of /files/more/of"),
        ("/files/more/of/", "more / /files/more/of/"),
        ("/files/more/of/x/y", "more /x/y /files/more/of/x/y"),
        ("/files/more/x/y/z", "files /more/x/y/z /files/more/x/y/z"),
    ],
)
async def test_paths(path: str, expected: str) -> None:
    site, request = build(), get(path)
    leaf, seen = site.resolve(request)
    assert not isinstance(leaf, Site)
    assert (await leaf.render(seen)).payload.decode() == expected
    assert (await site.render(request)).payload.decode() == expected
    assert seen.get_request_uri(local_is_server=False) == "coap://[2001:db8::1]" + (path or "/")
    assert request.opt.uri_path == seen.full_path


@pytest.mark.parametrize(
    "path",
    [
        "/batch",
        "/batch/light2",
        "/batch/light1/",
        "/batch//",
        "/dir",
        "/a",
        "//",
        "/dir//x",
        "/x/y",
    ],
)
async def test_paths_with_nothing_there(path: str) -> None:
    site = build()
    with pytest.raises(error.NoResource):
        site.resolve(get(path))
    with pytest.raises(error.NoResource):
        await site.render(get(path))


async def test_a_catch_all_at_the_root() -> None:
    site = Site()
    site.add_resource([], CatchAll("all"))
    site.add_resource(["x"], Named("x"))
    assert (await site.render(get())).payload == b"all / /"
    assert (await site.render(get("/x"))).payload == b"x / /x"
    assert (await site.render(get("/x/y/"))).payload == b"all /x/y/ /x/y/"


async def test_a_nested_site_does_not_answer_without_its_slash() -> None:
    site, batch = Site(), Site()
    site.add_resource(["batch"], batch)
    batch.add_resource([], Named("root"))
    with pytest.raises(error.NoResource):
        site.resolve(get("/batch"))
    with pytest.raises(error.NoResource):
        site.resolve(get(""))
    site.add_resource(["batch"], Named("beside"))
    assert (await site.render(get("/batch"))).payload == b"beside / /batch"
    assert (await site.render(get("/batch/"))).payload == b"root / /batch/"


def test_a_long_path_is_not_looked_up_at_every_length() -> None:
    class Lookups(dict[tuple[str, ...], interfaces.Resource]):
        count = 0

        def get(self, key: Any, default: Any = None) -> Any:
            self.count += 1
            return super().get(key, default)

    site = build()
    site._subsites = lookups = Lookups(site._subsites)
    with pytest.raises(error.NoResource):
        site.resolve(Message(code=Code.GET, uri_path=["x"] * 20_000))
    assert lookups.count == 4


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/a/b", r"\['a', 'b'\]"),
        ("a", r"\['a'\]"),
        ("a/", r"\['a', ''\]"),
        ("/", r"\[\]"),
        ("", r"\[\]"),
    ],
)
def test_a_plain_text_is_no_path(path: str, hint: str) -> None:
    site = Site()
    with pytest.raises(ValueError, match=hint):
        site.add_resource(path, Named())
    with pytest.raises(ValueError, match="sequence of segments"):
        site.remove_resource(path)


def test_what_else_can_not_be_added() -> None:
    site = Site()
    with pytest.raises(ValueError, match="texts"):
        site.add_resource([b"a"], Named())  # type: ignore[list-item]
    with pytest.raises(TypeError, match="class"):
        site.add_resource(["a"], Named)  # type: ignore[arg-type]


async def test_resources_can_be_replaced_and_removed() -> None:
    site = build()
    site.add_resource(("files",), Named("other"))
    assert (await site.render(get("/files"))).payload.startswith(b"other")
    site.remove_resource(["files"])
    with pytest.raises(error.NoResource):
        site.resolve(get("/files"))
    assert site.resolve(get("/files/x"))
    site.remove_resource(("files",))
    with pytest.raises(error.NoResource):
        site.resolve(get("/files/x"))
    with pytest.raises(KeyError):
        site.remove_resource(["files"])


async def test_a_site_hands_on_all_of_the_contract() -> None:
    class Blocks(Counting):
        async def needs_blockwise_assembly(self, request: Message) -> bool:
            return request.opt.uri_path != ()

    site, inner, blocks = Site(), Site(), Blocks()
    site.add_resource(["inner"], inner)
    site.add_resource(["plain"], Named())
    inner.add_resource(["blocks"], blocks)
    assert await site.needs_blockwise_assembly(get("/inner/blocks")) is False
    assert await site.needs_blockwise_assembly(get("/plain")) is True
    assert await site.needs_blockwise_assembly(get("/nothing")) is True
    observation = Observation()
    for path in ("/nothing", "/plain"):
        await site.add_observation(get(path), observation)
        assert observation.end is None
    await site.add_observation(get("/inner/blocks"), observation)
    assert list(blocks.observations) == [observation]


# Sites that stand in the way


class Guarded(Site):
    """Lets nobody in without a query."""

    async def render(self, request: Message) -> Message:
        if not request.opt.uri_query:
            raise error.Forbidden
        return await super().render(request)


async def test_an_overridden_method_is_not_gone_around() -> None:
    outer, guarded = Site(), Guarded()
    outer.add_resource(["in"], guarded)
    guarded.add_resource(["x"], Named("x"))
    leaf, seen = outer.resolve(get("/in/x?key"))
    assert leaf is guarded
    assert seen.opt.uri_path == ("x",)
    assert (await leaf.render(seen)).payload == b"x / /in/x"
    with pytest.raises(error.Forbidden):
        await outer.render(get("/in/x"))


def test_it_counts_which_class_overrides_what() -> None:
    class Plain(Site):
        pass

    class Logged:
        async def needs_blockwise_assembly(self, request: Message) -> bool:
            return True

    class Mixed(Logged, Site):
        pass

    class Below(Guarded):
        pass

    class Finding(Guarded):
        def resolve(self, request: Message) -> tuple[interfaces.Resource, Message]:
            return self, get("/found")

    for kind, goes_around in ((Plain, True), (Mixed, False), (Below, False)):
        site = kind()
        site.add_resource(["x"], Named())
        assert (site.resolve(get("/x"))[0] is not site) is goes_around
    assert Finding().resolve(get("/x"))[1].opt.uri_path == ("found",)


async def test_a_wrapper_around_a_site() -> None:
    class Wrapper(interfaces.Resource):
        def __init__(self, site: Site) -> None:
            self.site = site

        async def needs_blockwise_assembly(self, request: Message) -> bool:
            return await self.site.needs_blockwise_assembly(request)

        async def render(self, request: Message) -> Message:
            response = await self.site.render(request)
            return response.copy(max_age=1)

    wrapper = Wrapper(build())
    leaf, seen = wrapper.resolve(get("/batch/light1"))
    assert leaf is wrapper
    assert await leaf.needs_blockwise_assembly(seen)
    assert (await leaf.render(seen)).opt.max_age == 1
