"""A Messages API on this machine: it streams, validates and fails like the real one, and answers from a script.

    with MessagesApi([calls(("ticketing__close_ticket", {"resolution": "…"})), says("Done.")]) as api:
        ClaudeModel(model="claude-sonnet-5-5", api_key=api.key, base_url=api.url)

The server runs in a thread of its own, so tests of every kind can use it, and so can child processes through
ANTHROPIC_BASE_URL. `python -m tests.fakes.messages_api --script FILE` prints its address and serves until it is
interrupted; there, every conversation is played the script from its beginning.
"""

import argparse
import asyncio
import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from typing import Any, NoReturn, Self

from agent.records import JsonObject
from tests.fakes.answers import Answer, Fault, FaultKind, Script, by_turn, error, events, load
from tests.fakes.request_rules import Refused, check, signature

KEY = "sk-ant-test-0123456789"
LARGEST_BODY = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A request for a reply, as it arrived; `at` is `time.monotonic()`."""

    body: Any
    headers: Mapping[str, str]
    at: float


class MessagesApi:
    """The fake service. Leaving it with answers that nobody asked for is an error."""

    def __init__(self, script: Script = (), *, key: str = KEY, port: int = 0, reply_after_s: float = 0) -> None:
        self.key = key
        self.requests: list[Request] = []
        self._script = script if callable(script) else list(script)
        self._port = port
        self._reply_after_s = reply_after_s
        self._paused: list[Any] = []
        self._lock = threading.Lock()
        self._crashes: list[BaseException] = []
        self._waiting: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="messages-api", daemon=True)

    @property
    def url(self) -> str:
        """What ANTHROPIC_BASE_URL is set to."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def bodies(self) -> list[JsonObject]:
        """The bodies of all requests, refused ones included."""
        return [request.body for request in self.requests]

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_ready.wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._crashes:
            raise self._crashes[0]
        if kind is None and not callable(self._script) and self._script:
            raise AssertionError(f"{len(self._script)} answers were never asked for: {self._script}")

    async def seen(self, count: int) -> None:
        """Wait until so many requests have arrived."""
        arrived = asyncio.Event()
        with self._lock:
            if len(self.requests) >= count:
                return
            self._waiting.append((count, asyncio.get_running_loop(), arrived))
        await arrived.wait()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._loop.set_exception_handler(lambda _, context: self._crashes.append(context["exception"]))
        connections: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections[task] = writer
            try:
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    while await self._serve_request(reader, writer):
                        pass
            finally:
                writer.close()
                del connections[task]

        server = await asyncio.start_server(connected, "127.0.0.1", self._port, limit=LARGEST_BODY, backlog=256)
        self._port = server.sockets[0].getsockname()[1]
        self._is_ready.set()
        await self._stop.wait()
        server.close()
        for writer in connections.values():
            writer.transport.abort()
        if connections:
            await asyncio.wait(connections)

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection can carry another."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        payload = await reader.readexactly(int(headers.get("content-length", "0")))
        method, path, _ = head[0].split(" ")
        is_for_messages = (method, path.partition("?")[0]) == ("POST", "/v1/messages")
        try:
            body = self._admitted(headers, payload) if is_for_messages else _not_found()
        except Refused as refusal:
            await _send(writer, refusal.status, _error_body(refusal.kind, str(refusal)))
            return True
        answer = self._next_answer(body)
        if delay_s := self._reply_after_s + answer.delay_s:
            await asyncio.sleep(delay_s)
        if answer.until is not None:
            await answer.until.passed()
        message = self._message(answer, body)
        if answer.fault is not None and not answer.fault.after:
            return await _fail(reader, writer, answer.fault)
        if not body.get("stream"):
            await _send(writer, 200, json.dumps(message))
            return True
        return await _stream(reader, writer, message, answer.fault)

    def _admitted(self, headers: Mapping[str, str], payload: bytes) -> JsonObject:
        """Record the request and return its body, or refuse it as the service would."""
        body = _parsed(payload)
        self._record(Request(body=body, headers=headers, at=time.monotonic()))
        if self.key not in {headers.get("authorization", "").removeprefix("Bearer "), headers.get("x-api-key")}:
            raise Refused("invalid x-api-key", status=401, kind="authentication_error")
        if "anthropic-version" not in headers:
            raise Refused("anthropic-version: header is required")
        if len(payload) > LARGEST_BODY - 1024:
            raise Refused("Request exceeds the maximum size", status=413, kind="request_too_large")
        if not isinstance(body, dict):
            raise Refused("The request body is not valid JSON")
        try:
            check(body, is_paused=self._paused.__contains__)
        except (AttributeError, KeyError, TypeError) as malformed:
            raise Refused(f"The request has the wrong shape: {malformed!r}") from malformed
        return body

    def _record(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            for count, loop, arrived in self._waiting:
                if len(self.requests) >= count and not loop.is_closed():
                    loop.call_soon_threadsafe(arrived.set)

    def _next_answer(self, body: JsonObject) -> Answer:
        if callable(self._script):
            return self._script(body)
        if self._script:
            return self._script.pop(0)
        return error(400, "The script of the fake Messages API has no answer left.")

    def _message(self, answer: Answer, body: JsonObject) -> JsonObject:
        number = len(self.requests)
        content: list[JsonObject] = []
        for index, given in enumerate(answer.content):
            block = dict(given)
            if block["type"] == "tool_use":
                block.setdefault("id", f"toolu_{number:04}_{index}")
            if block["type"] == "thinking":
                block.setdefault("signature", signature(body, len(body["messages"]), block["thinking"]))
            content.append(block)
        has_call = any(block["type"] == "tool_use" for block in content)
        stop_reason = answer.stop_reason or ("tool_use" if has_call else "end_turn")
        if stop_reason == "pause_turn":
            self._paused.append(content)
        return {
            "id": f"msg_{number:04}",
            "type": "message",
            "role": "assistant",
            "model": answer.model or body["model"],
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": dict(answer.usage),
        }


def _not_found() -> NoReturn:
    raise Refused("Not Found", status=404, kind="not_found_error")


def _parsed(payload: bytes) -> Any:
    try:
        return json.loads(payload, parse_constant=_no_constant)
    except ValueError:
        return None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


async def _stream(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, message: JsonObject, fault: Fault | None
) -> bool:
    writer.write(_head(200, {"content-type": "text/event-stream; charset=utf-8", "transfer-encoding": "chunked"}))
    seen = 0
    for label, data in events(message):
        writer.write(_chunk(f"event: {data['type']}\ndata: {json.dumps(data)}\n\n"))
        await writer.drain()
        if fault is not None and label == fault.after:
            seen += 1
            if seen == fault.nth:
                return await _fail_in_stream(reader, writer, fault)
    assert fault is None, f"the answer has no event for this fault to strike after: {fault}"
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> bool:
    if fault.kind is FaultKind.STATUS:
        await _send(writer, fault.status, _error_body(fault.type, fault.message), fault.headers)
        return True
    if fault.kind is FaultKind.NOT_JSON:
        await _send(writer, 200, "<html><body>Please log in.</body></html>", {"content-type": "text/html"})
        return True
    if fault.kind is FaultKind.HANG:
        await reader.read()  # ends when the client goes, or the server
    writer.transport.abort()
    return False


async def _fail_in_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault) -> bool:
    if fault.kind is FaultKind.ERROR_EVENT:
        writer.write(_chunk(f"event: error\ndata: {_error_body(fault.type, fault.message)}\n\n"))
    elif fault.kind is FaultKind.GARBLED:
        writer.write(_chunk('event: content_block_delta\ndata: {"type": "content_block_delta", "ind\n\n'))
    elif fault.kind is not FaultKind.EOF:
        return await _fail(reader, writer, fault)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _send(writer: asyncio.StreamWriter, status: int, body: str, headers: Mapping[str, str] | None = None) -> None:
    payload = body.encode()
    own = {"content-type": "application/json", "content-length": str(len(payload)), **(headers or {})}
    writer.write(_head(status, own) + payload)
    await writer.drain()


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Overloaded')}", "request-id: req_0001"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _chunk(text: str) -> bytes:
    payload = text.encode()
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def _error_body(kind: str, message: str) -> str:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_0001"})


def main() -> None:
    """Serve a script until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.messages_api", description=main.__doc__)
    parser.add_argument("--script", type=Path, required=True, help="a JSON list of answers")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0, help="seconds before each reply")
    options = parser.parse_args()
    script = by_turn(load(options.script))
    with MessagesApi(script, port=options.port, reply_after_s=options.delay) as api:
        print(api.url, flush=True)  # noqa: T201 - this is what the caller reads
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
