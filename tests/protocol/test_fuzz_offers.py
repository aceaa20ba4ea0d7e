"""Every tool, resource, prompt and completion of both servers, asked for anything: an answer, and never a crash."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from mcp_types import CreateMessageResult, ElicitResult, ErrorData, ImageContent, ListRootsResult, Root, TextContent
from pydantic import FileUrl

from servers.calls import KEY, VOID
from tests.compatibility import EMPTY, Record
from tests.fakes.fuzz import ANY_JSON, TEXT, admitted, broken, likely, uris, width
from tests.fakes.fuzz_bench import BENCHES, VIAS, Bench, Request, serving

META: SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({KEY: st.sampled_from(["a", "b"]) | ANY_JSON}, optional={VOID: st.booleans() | ANY_JSON}),
    st.fixed_dictionaries({VOID: st.just(True)}),
)
VIA = st.sampled_from(VIAS)

# What clients answer when they are asked back.
FAILURES = st.builds(ErrorData, code=st.just(-1), message=TEXT)
SAMPLES = FAILURES | st.one_of(
    st.builds(TextContent, type=st.just("text"), text=TEXT),
    st.just(ImageContent(type="image", data="aGk=", mime_type="image/png")),
).map(lambda content: CreateMessageResult(role="assistant", content=content, model="test"))
FORMS = FAILURES | st.builds(
    ElicitResult,
    action=st.sampled_from(["accept", "accept", "decline", "cancel"]),
    content=st.none()
    | st.dictionaries(
        st.just("priority") | TEXT,
        st.sampled_from(["low", "urgent"]) | TEXT | st.none() | st.booleans() | st.lists(TEXT, max_size=2),
        max_size=3,
    ),
)
PLACES = [
    "file:///",
    "file:///tmp",
    "file:///a%00b",
    "file:///%ed%a0%80",
    "file://elsewhere/x",
    f"file:///{'a/' * 900}x",
]
ROOTS = FAILURES | st.lists(st.sampled_from(PLACES), max_size=3).map(
    lambda found: ListRootsResult(roots=[Root(uri=FileUrl(uri)) for uri in found])
)


@pytest.fixture(scope="module", params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    yield from serving(request, tmp_path_factory.mktemp("fuzz"))


def calls(name: str, arguments: SearchStrategy[dict[str, Any]]) -> SearchStrategy[Request]:
    return st.builds(Request, method=st.just("tool"), name=st.just(name), arguments=arguments, meta=META)


def ask_and_look_after(bench: Bench, request: Request, via: Any, **asked_back: Any) -> None:
    """Ask, and see that an error and a read have changed nothing."""
    bench.reset()
    bench.counterpart.answer(**asked_back)
    answer = bench.ask(request, via)
    rows = bench.check()
    tool = bench.tools.get(request.name)
    is_read = tool is None or (tool.annotations is not None and tool.annotations.read_only_hint)
    kept = {name for name in rows if name.endswith("_keys") and not (answer.is_error and not answer.is_voided)}
    if answer.is_error or is_read:
        assert [name for name in rows if rows[name] != bench.start[name] and name not in kept] == []


def test_a_tool_answers_whatever_its_schema_admits_and_whatever_it_is_answered(bench: Bench):
    for name, tool in bench.tools.items():

        @bench.budget(12 + 3 * width(tool.input_schema))
        @given(request=calls(name, admitted(tool.input_schema)), sample=SAMPLES, form=FORMS, roots=ROOTS, via=VIA)
        def answers(request: Request, sample: Any, form: Any, roots: Any, via: Any) -> None:
            ask_and_look_after(bench, request, via, sample=sample, form=form, roots=roots)

        answers()


def test_a_tool_answers_whatever_its_schema_does_not_admit(bench: Bench, compatibility: Record):
    for name, tool in bench.tools.items():

        @bench.budget(10 + 2 * width(tool.input_schema))
        @given(request=calls(name, broken(tool.input_schema)), via=VIA)
        def answers(request: Request, via: Any) -> None:
            ask_and_look_after(bench, request, via)

        answers()
    compatibility("Fuzzing", bench.place, {"tools": f"all {len(bench.tools)} hold"})


def test_any_name_may_be_asked_for_as_a_tool_or_a_prompt(bench: Bench):
    @bench.budget(30)
    @given(method=st.sampled_from(["tool", "prompt"]), name=TEXT | st.sampled_from([*bench.tools]), via=VIA)
    def answers(method: Any, name: str, via: Any) -> None:
        ask_and_look_after(bench, Request(method=method, name=name), via)

    answers()


def test_any_address_may_be_read(bench: Bench, compatibility: Record):
    @bench.budget(200)
    @given(uri=uris(bench.templates()), via=VIA)
    def answers(uri: str, via: Any) -> None:
        ask_and_look_after(bench, Request(method="resource", name=uri), via)

    answers()
    compatibility("Fuzzing", bench.place, {"resources and templates": f"all {len(bench.templates())} hold"})


def test_a_prompt_answers_whatever_it_is_given(bench: Bench, compatibility: Record):
    for prompt in bench.prompts():
        named = {argument.name: likely(argument.name) for argument in prompt.arguments or ()}
        arguments = st.fixed_dictionaries(named) | st.dictionaries(st.sampled_from([*named]) | TEXT, TEXT, max_size=3)
        requests = st.builds(Request, method=st.just("prompt"), name=st.just(prompt.name), arguments=arguments)

        @bench.budget(60)
        @given(request=requests, via=VIA)
        def answers(request: Request, via: Any) -> None:
            ask_and_look_after(bench, request, via)

        answers()
    found = f"all {len(bench.prompts())} hold" if bench.prompts() else EMPTY
    compatibility("Fuzzing", bench.place, {"prompts": found})


def test_anything_may_be_completed(bench: Bench, compatibility: Record):
    names = [argument.name for prompt in bench.prompts() for argument in prompt.arguments or ()]
    offered = [*bench.templates(), *(prompt.name for prompt in bench.prompts())]

    @bench.budget(60)
    @given(
        about=st.sampled_from(offered) | TEXT,
        argument=st.sampled_from([*names, "slug", "email"]) | TEXT,
        value=st.sampled_from(["", "4", "p"]) | TEXT,
        via=VIA,
    )
    def answers(about: str, argument: str, value: str, via: Any) -> None:
        request = Request(method="completion", name=about, arguments={"name": argument, "value": value})
        ask_and_look_after(bench, request, via)

    answers()
    compatibility("Fuzzing", bench.place, {"completions": "hold" if bench.completes else EMPTY})
