"""An MCP server that misbehaves on request, written in raw JSON-RPC: it starts at once and can break any rule.

    python bad_server.py [FAULT …] [--era legacy|modern] [--folder FOLDER] [--pages N] [--tools FILE]

Faults at the start: `exit`, `garbage`, `silent`, `slow` (answers nothing until something opens FOLDER/gate for
writing, a FIFO), `chatty` (garbage between its answers), `bad-tools` (a list with unusable entries), `lists-refused`,
`no-tools-list`, `endless-pages`, `stubborn` (ignores the end of stdin and SIGTERM), `litter` (starts a process of its
own that holds its stdout), `once` (exits at every start but the first), `curious` (asks for the roots
after the handshake).

Its tools: each is one way to answer a call; with `--tools`, they are those that FILE defines, and each echoes.

FOLDER/calls holds one line of JSON for every call that arrived, with its arguments and idempotency key; FOLDER/starts
one line with the process id for every start.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
KEY = "support-agent/idempotency-key"

parser = argparse.ArgumentParser()
parser.add_argument("faults", nargs="*")
parser.add_argument("--era", choices=["legacy", "modern"], default="modern")
parser.add_argument("--folder", type=Path)
parser.add_argument("--pages", type=int, default=1)
parser.add_argument("--tools", type=Path)
options = parser.parse_intermixed_args()
faults = set(options.faults)


def main() -> None:
    if options.folder:
        note("starts", os.getpid())
    for fault in options.faults:
        AT_START.get(fault, nothing)()
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if "id" in message and "method" in message:
            if "chatty" in faults:
                write_raw(b"Listening on port 8080 \x1b[31m\xff\n")
            answer(message)
        elif "method" not in message:
            note("answers", message)
        elif message["method"] == "notifications/initialized" and "curious" in faults:
            send({"jsonrpc": "2.0", "id": "curious", "method": "roots/list"})
    while "stubborn" in faults:
        signal.pause()


def answer(message: dict[str, Any]) -> None:
    method, params = message["method"], message.get("params", {})
    match method:
        case "initialize":
            about = {"protocolVersion": LEGACY, "serverInfo": {"name": "bad", "version": "0"}}
            reply(message, about | {"capabilities": CAPABILITIES})
        case "server/discover" if options.era == "modern":
            reply(message, {"supportedVersions": [MODERN], "capabilities": CAPABILITIES})
        case "tools/list" if "no-tools-list" in faults:
            refuse(message, -32603, "The list is lost.")
        case "tools/list":
            list_tools(message, params.get("cursor"))
        case "resources/list" | "resources/templates/list" | "prompts/list" if "lists-refused" in faults:
            refuse(message, -32603, "No.")
        case "resources/list":
            reply(message, {"resources": [{"uri": "note://first", "name": "first"}]})
        case "resources/templates/list":
            reply(message, {"resourceTemplates": [{"uriTemplate": "note://{name}", "name": "note"}]})
        case "prompts/list":
            reply(message, {"prompts": [{"name": "greeting"}]})
        case "resources/read":
            note("reads", params["uri"])
            READS.get(params["uri"], read)(message)
        case "prompts/get":
            reply(message, {"messages": [{"role": "user", "content": text(params["arguments"]["name"])}]})
        case "tools/call":
            note("calls", {"tool": params["name"], "arguments": params.get("arguments"), "key": key_of(params)})
            (unknown if has_changed() else echo if options.tools else TOOLS.get(params["name"], unknown))(message)
        case _:
            refuse(message, -32601, "Method not found")


def list_tools(message: dict[str, Any], cursor: str | None) -> None:
    page = int(cursor or 1)
    names = [f"page_{page}"] if page > 1 else ["new_tool"] if has_changed() else list(TOOLS)
    tools: list[Any] = json.loads(options.tools.read_bytes()) if options.tools else [tool(name) for name in names]
    if "bad-tools" in faults:
        tools += BAD_TOOLS
    more = "endless-pages" in faults or page < options.pages
    reply(message, {"tools": tools} | ({"nextCursor": str(page + 1)} if more else {}))


def has_changed() -> bool:
    return bool(options.folder) and (options.folder / "changed").exists()


def tool(name: str) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "inputSchema": {"type": "object"}}
    if name == "breaks_schema":
        described["outputSchema"] = {"type": "object", "required": ["done"]}
    return described


def echo(message: dict[str, Any]) -> None:
    result(message, json.dumps(message["params"].get("arguments"), ensure_ascii=False))


def echo_and_die(message: dict[str, Any]) -> None:
    echo(message)
    os._exit(7)


def die(message: dict[str, Any]) -> None:
    os.write(2, b"out of cheese\n")
    os._exit(7)


def die_once(message: dict[str, Any]) -> None:
    if calls_of("die_once") == 1:
        os._exit(7)
    result(message, "done the second time")


def die_when_released(message: dict[str, Any]) -> None:
    wait_at_gate()
    os._exit(7)


def answer_when_released(message: dict[str, Any]) -> None:
    wait_at_gate()
    result(message, "released")


def hang(message: dict[str, Any]) -> None:
    pass


def hang_once(message: dict[str, Any]) -> None:
    if calls_of("hang_once") > 1:
        result(message, "answered the second time")


def refused(message: dict[str, Any]) -> None:
    refuse(message, -32000, "You may not do this.")


def big(message: dict[str, Any]) -> None:
    result(message, "x" * 10_000_000)


def breaks_schema(message: dict[str, Any]) -> None:
    reply(message, {"content": [], "structuredContent": {"done_": True}})


def malformed(message: dict[str, Any]) -> None:
    reply(message, {"content": "not a list"})


def surrogates(message: dict[str, Any]) -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": message["id"], "result": complete({"content": [text("half \ud83d of it")]})}
    )
    write_raw(body.encode() + b"\n")


def not_utf8(message: dict[str, Any]) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": complete({"content": [text("caf?")]})})
    write_raw(body.encode().replace(b"?", b"\xe9") + b"\n")


def logs(message: dict[str, Any]) -> None:
    for level in ("info", "error"):
        notify("notifications/message", {"level": level, "data": f"the {level}\x1b[2J"})
    notify("notifications/tools/list_changed", {})
    notify("notifications/tools/list_changed", {})
    result(message, "logged")


def ask_out_of_turn(message: dict[str, Any]) -> None:
    """Answer the call, and only then ask: a request of the arguments' `method` with their `params`."""
    result(message, "asked")
    send({"jsonrpc": "2.0", "id": "late", **message["params"]["arguments"]})
    note("answers", json.loads(sys.stdin.buffer.readline()))


def ask_and_shrug(message: dict[str, Any]) -> None:
    """Ask for the roots during the call, and succeed whatever the answer is."""
    send({"jsonrpc": "2.0", "id": "roots", "method": "roots/list"})
    note("answers", json.loads(sys.stdin.buffer.readline()))
    result(message, "never mind")


def flood(message: dict[str, Any]) -> None:
    """Send thousands of notifications of every kind before the result."""
    token = message["params"].get("_meta", {}).get("progressToken", "none")
    for number in range(2_500):
        notify("notifications/progress", {"progressToken": token, "progress": number})
        notify("notifications/message", {"level": "error", "data": f"error {number}"})
        notify("notifications/tools/list_changed", {})
        notify("notifications/resources/updated", {"uri": "note://1"})
    result(message, "flooded")


def roar(message: dict[str, Any]) -> None:
    """Write as many megabytes to stderr as the arguments say."""
    for number in range(message["params"]["arguments"]["megabytes"]):
        line = f"megabyte {number} ".encode()
        os.write(2, (line + b"." * (1_000_000 - len(line) - 1)) + b"\n")
    os.write(2, b"the last words\n")
    result(message, "roared")


WAITING: list[dict[str, Any]] = []


def swap(message: dict[str, Any]) -> None:
    """Answer three calls together, the last one first."""
    WAITING.append(message)
    while len(WAITING) == 3:
        for waiting in reversed(WAITING):
            echo(waiting)
        WAITING.clear()


def twice(message: dict[str, Any]) -> None:
    for said in ("the first answer", "the second answer"):
        result(message, said)


def strangers(message: dict[str, Any]) -> None:
    """Answer what was never asked, then the call."""
    for id_ in (999_999, "no-one", -1, 1.5, None, [], {}):
        send({"jsonrpc": "2.0", "id": id_, "result": complete({"content": [text("for someone else")]})})
        send({"jsonrpc": "2.0", "id": id_, "error": {"code": -32000, "message": "for someone else"}})
    notify("notifications/progress", {"progressToken": "no-one", "progress": 1})
    notify("notifications/cancelled", {"requestId": "no-one"})
    result(message, "for you")


def change_tools(message: dict[str, Any]) -> None:
    """Offer other tools from now on; the next start offers them too."""
    note("changed", True)
    notify("notifications/tools/list_changed", {})
    result(message, "changed")


def demand(message: dict[str, Any]) -> None:
    """Ask for what no client has offered; keep what it says."""
    demands = [
        ("ping", {}),
        ("tasks/list", {}),
        ("tools/list", {}),
        ("sampling/createMessage", {"messages": 5}),
        ("x/y", {}),
    ]
    for number, (method, params) in enumerate(demands):
        send({"jsonrpc": "2.0", "id": f"demand-{number}", "method": method, "params": params})
    for _ in demands:
        note("demands", json.loads(sys.stdin.buffer.readline()))
    result(message, "demanded")


def batched(message: dict[str, Any]) -> None:
    """Answer with a batch, as 2025-03-26 has it, beside an empty one and one that is none."""
    said = {"method": "notifications/message", "params": {"level": "error", "data": "the first of a batch"}}
    answer = {"id": message["id"], "result": complete({"content": [text("the second of a batch")]})}
    write_raw(b"[]\n")
    write_raw(json.dumps([{"jsonrpc": "2.0", **part} for part in (said, answer)]).encode() + b"\n")


def unknown(message: dict[str, Any]) -> None:
    refuse(message, -32602, "Unknown tool")


def read(message: dict[str, Any]) -> None:
    uri = message["params"]["uri"]
    reply(message, {"contents": [{"uri": uri, "text": f"read {len(lines('reads'))}"}]})


def read_nothing(message: dict[str, Any]) -> None:
    refuse(message, -32002, "Resource not found")


def read_and_die_once(message: dict[str, Any]) -> None:
    if len(lines("reads")) == 1:
        os._exit(7)
    read(message)


TOOLS: dict[str, Callable[[dict[str, Any]], None]] = {
    function.__name__: function
    for function in (
        echo,
        echo_and_die,
        die,
        die_once,
        die_when_released,
        answer_when_released,
        hang,
        hang_once,
        refused,
        big,
        breaks_schema,
        malformed,
        surrogates,
        not_utf8,
        logs,
        ask_out_of_turn,
        ask_and_shrug,
        flood,
        roar,
        swap,
        twice,
        strangers,
        change_tools,
        demand,
        batched,
    )
}
READS: dict[str, Callable[[dict[str, Any]], None]] = {
    "note://nothing": read_nothing,
    "note://deadly": read_and_die_once,
    "note://silent": hang,
}
CAPABILITIES = {"tools": {}, "resources": {}, "prompts": {}, "logging": {}}
BAD_TOOLS: list[Any] = [
    {"name": "no_object", "inputSchema": {"type": "string"}},
    {"name": "no_schema"},
    {"name": "", "inputSchema": {"type": "object"}},
    {"name": "echo", "inputSchema": {"type": "object"}, "description": "the second of this name"},
    {"name": "escape\x1b[31m", "inputSchema": {"type": "object"}},
    {"inputSchema": {"type": "object"}},
    "no tool at all",
]


def exit_at_once() -> None:
    os.write(2, b"first line\nConfigError: \x1b[31mno token\x1b[0m\n")
    os._exit(3)


def exit_unless_first() -> None:
    if len(lines("starts")) > 1:
        exit_at_once()


def print_garbage() -> None:
    write_raw(b"Welcome to bad 1.0\x1b[2J\n")


def never_answer() -> None:
    for _ in sys.stdin.buffer:
        pass
    os._exit(0)


def wait_at_gate() -> None:
    (options.folder / "gate").open("rb").close()


def be_stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def litter() -> None:
    child = subprocess.Popen(["sleep", "1000"])
    note("litter", child.pid)


def nothing() -> None:
    pass


AT_START: dict[str, Callable[[], None]] = {
    "exit": exit_at_once,
    "garbage": print_garbage,
    "silent": never_answer,
    "slow": wait_at_gate,
    "stubborn": be_stubborn,
    "litter": litter,
    "once": exit_unless_first,
}


def key_of(params: dict[str, Any]) -> str | None:
    return params.get("_meta", {}).get(KEY)


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def result(message: dict[str, Any], said: str) -> None:
    reply(message, {"content": [text(said)]})


def complete(body: dict[str, Any]) -> dict[str, Any]:
    return body if options.era == "legacy" else {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", **body}


def reply(message: dict[str, Any], body: dict[str, Any]) -> None:
    send({"jsonrpc": "2.0", "id": message["id"], "result": complete(body)})


def refuse(message: dict[str, Any], code: int, sentence: str) -> None:
    send({"jsonrpc": "2.0", "id": message["id"], "error": {"code": code, "message": sentence}})


def notify(method: str, params: dict[str, Any]) -> None:
    send({"jsonrpc": "2.0", "method": method, "params": params})


def send(message: dict[str, Any]) -> None:
    write_raw(json.dumps(message).encode() + b"\n")


def write_raw(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def note(name: str, value: object) -> None:
    if options.folder:
        with (options.folder / name).open("a") as file:
            file.write(json.dumps(value) + "\n")


def calls_of(name: str) -> int:
    return sum(json.loads(line)["tool"] == name for line in lines("calls"))


def lines(name: str) -> list[str]:
    return (options.folder / name).read_text().splitlines()


if __name__ == "__main__":
    main()
