"""`init` and `doctor`: a folder to start from, and what is configured, missing or wrong."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

from agent.catalog import OfferedTool, build_catalog
from agent.commands.frame import Frame
from agent.commands.runs import pause_here
from agent.commands.trusting import trust_written
from agent.errors import ConfigurationError, InfrastructureError, JournalError, ServerError, ServerStartFailed
from agent.host import Host
from agent.models import OFFLINE, model_name
from agent.pinning import Held, Pinning, gone, remedy
from agent.policies import Severity, unjudgeable
from agent.render import Check, CheckState, SilentView, show_checks, show_notice
from agent.scaffold import write_starter
from agent.session import open_session
from agent.settings import Settings, StdioTransport
from agent.tickets import Helpdesk
from agent.wire.transports import child_environment

_DEMO = "--demo"
"""The argument by which a server's command says that it may fill an empty database with the demo."""


async def init_folder(frame: Frame) -> int:
    """Write the starter files that are not there yet into the current folder, and trust what was written."""
    written = write_starter(Path.cwd())
    if remark := trust_written(
        Path.cwd(), {file.path.name: file.content for file in written if file.content is not None}
    ):
        show_notice(frame.err, remark)
    if frame.is_json:
        frame.print_json({"files": [{"path": str(file.path), "act": file.act.value} for file in written]})
    for file in written:
        frame.say(f"{file.act.value:<8} {file.path.name}")
    frame.say("\nNext: put your key into .env, then `support-agent doctor`.")
    return 0


async def init_demo(frame: Frame, *, is_reset: bool) -> int:
    """Create the demo helpdesk, or with `is_reset` create it anew."""
    settings = await frame.settings()
    demos = {
        name: transport
        for name, transport in settings.transports.items()
        if isinstance(transport, StdioTransport) and _DEMO in transport.args
    }
    if not demos:
        raise ConfigurationError("No configured server has a demo: this folder uses a helpdesk of its own.")
    if is_reset:
        for name, transport in demos.items():
            await _reset(name, transport)
    async with open_session(settings, SilentView(), is_strict=False, trace=frame.trace) as session:
        waiting = len(await session.helpdesk.queue())
    if frame.is_json:
        frame.print_json({"home": str(settings.home), "waiting": waiting})
    frame.say(f"The demo helpdesk is in {settings.home}: {waiting} tickets are waiting.")
    return 0


async def _reset(name: str, transport: StdioTransport) -> None:
    process = await asyncio.create_subprocess_exec(
        transport.command,
        *transport.args,
        "--reset",
        env=child_environment(transport),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complaint = await process.communicate()
    if process.returncode != 0:
        raise ServerStartFailed(name, complaint.decode(errors="replace").strip() or f"{name} could not be reset.")


async def doctor(frame: Frame) -> int:
    """Check the configuration, the model, the servers and the helpdesk, and say how to mend what is wrong."""
    checks = [check async for check in _checks(frame)]
    if frame.is_json:
        frame.print_json(
            {"checks": [{"state": c.state.value, "sentence": c.sentence, "fix": c.fix or None} for c in checks]}
        )
    else:
        show_checks(frame.out, checks)
    return 3 if any(check.state is CheckState.FAIL for check in checks) else 0


async def _checks(frame: Frame) -> AsyncIterator[Check]:
    try:
        settings = await frame.settings()
    except ConfigurationError as mistake:
        yield Check(state=CheckState.FAIL, sentence=str(mistake))
        return
    here = await frame.here()
    sources = ", ".join(settings.sources) or "the built-in helpdesk; this folder has no files of its own"
    yield Check(state=CheckState.OK, sentence=f"Configuration: {sources}")
    if here.folder.files:
        yield Check(state=CheckState.OK, sentence=f"{', '.join(here.folder.files)}: {here.ground.value}")
    yield Check(state=CheckState.OK, sentence=f"Data and logs: {settings.home}")
    yield _model_check(settings)
    async for check in _pause_checks(frame):
        yield check
    try:
        async with Host(settings, SilentView()) as host:
            async for check in _server_checks(host, settings):
                yield check
    except ServerError as error:
        yield Check(state=CheckState.FAIL, sentence=str(error), fix="`support-agent servers list` shows the others.")


def _model_check(settings: Settings) -> Check:
    try:
        name = model_name(settings, is_dry_run=False)
    except ConfigurationError:
        return Check(
            state=CheckState.WARN,
            sentence="Model: none, so only dry runs and --model offline work",
            fix="Set ANTHROPIC_API_KEY, in the environment or in .env.",
        )
    place = f" at {settings.base_url}" if settings.base_url and name != OFFLINE else ""
    return Check(state=CheckState.OK, sentence=f"Model: {name}{place}")


async def _pause_checks(frame: Frame) -> AsyncIterator[Check]:
    try:
        pause = await pause_here(frame)
    except JournalError as unusable:
        yield Check(state=CheckState.FAIL, sentence=str(unusable))
        return
    if pause is not None:
        sentence = f"All runs are paused {pause.told}"
        yield Check(state=CheckState.WARN, sentence=sentence, fix="`support-agent unpause` lets them go on.")


async def _server_checks(host: Host, settings: Settings) -> AsyncIterator[Check]:
    for name, server in sorted(host.servers.items()):
        offered = f"{len(server.tools)} tools, MCP {server.protocol_version} over {server.transport}"
        yield Check(state=CheckState.OK, sentence=f"Server {name}: {offered}")
    held = Pinning.read(settings).held(host.servers)
    for check in _pin_checks(held):
        yield check
    known = {f"{name}.{tool.name}" for name, server in host.servers.items() for tool in server.tools}
    for missing in sorted(name for name in settings.tools if name not in known and name.split(".")[0] in host.servers):
        yield Check(
            state=CheckState.WARN,
            sentence=f'[tools."{missing}"] speaks of a tool that its server does not have',
            fix="Correct its name, or remove the table.",
        )
    catalog = build_catalog(
        {name: server.tools for name, server in host.servers.items()},
        {name: server.templates for name, server in host.servers.items()},
        settings,
        left_out=held.unapproved,
    )
    for check in _policy_checks(settings, catalog.tools):
        yield check
    unnamed = [tool.qualified for tool in catalog.tools if tool.qualified not in settings.tools]
    if unnamed:
        yield Check(
            state=CheckState.WARN,
            sentence=f"Tools that no configuration names, so each call needs approval: {', '.join(unnamed)}",
            fix="Give each a [tools] table with its effect.",
        )
    yield await _helpdesk_check(host, settings)


def _policy_checks(settings: Settings, tools: Sequence[OfferedTool]) -> Iterator[Check]:
    from agent.policies import check as mistakes_in  # noqa: PLC0415 - `init` needs no Cedar

    findings = mistakes_in(settings.policy, tools, file=settings.policy_file)
    for finding in findings:
        state = CheckState.FAIL if finding.severity is Severity.ERROR else CheckState.WARN
        yield Check(state=state, sentence=f"Policy {finding}", fix="`support-agent policy check` shows all of them.")
    if not findings:
        yield Check(state=CheckState.OK, sentence=f"Policy: {settings.policy_file}")
    for problem in unjudgeable(tools).values():
        yield Check(state=CheckState.WARN, sentence=f"Every call is denied: {problem}")


def _pin_checks(held: Held) -> Iterator[Check]:
    for name, difference in held.differences.items():
        if difference.needs_approval:
            sentence = f"Server {name} is not as it was approved: {difference.told()}"
            yield Check(state=CheckState.WARN, sentence=sentence, fix=remedy(name))
        if difference.gone:
            yield Check(state=CheckState.WARN, sentence=gone(name, difference))


async def _helpdesk_check(host: Host, settings: Settings) -> Check:
    try:
        waiting = await Helpdesk(host, settings).queue()
    except InfrastructureError as error:
        return Check(
            state=CheckState.FAIL, sentence=f"The queue cannot be read: {error}", fix="Check `queue` in [tickets]."
        )
    return Check(
        state=CheckState.OK, sentence=f"Helpdesk {settings.tickets.server}: {len(waiting)} tickets are waiting"
    )
