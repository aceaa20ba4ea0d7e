"""The models that a run can use, by the names that the command line knows them by."""

from pathlib import Path

from agent.errors import ConfigurationError
from agent.protocols import Model
from agent.settings import Settings

DEFAULT_CLAUDE = "claude-sonnet-5-5"
OFFLINE = "offline"
NOBODY = "none"
"""What is recorded as the model of a run that asks none: it makes the calls of a plan."""

_SCRIPTED = "scripted:"
_NO_MODEL = (
    "No model is configured: set ANTHROPIC_API_KEY (in the environment or in .env) to use Claude, "
    "or add --model offline to work without a key."
)
_NO_KEY = (
    "The model {name} needs a key: set ANTHROPIC_API_KEY (in the environment or in .env), "
    "or use --model offline, which needs none."
)


def model_name(settings: Settings, *, is_dry_run: bool) -> str:
    """Return the name of the model to use: the configured one, else Claude where a key is, else offline for a dry run.

    Raises:
        ConfigurationError: nothing says which, and a live run needs one; or the model named needs a key.
    """
    has_service = settings.api_key is not None or settings.base_url is not None
    name = DEFAULT_CLAUDE if settings.model == "claude" else settings.model
    if name is not None:
        if not has_service and name not in {OFFLINE, NOBODY} and not name.startswith(_SCRIPTED):
            raise ConfigurationError(_NO_KEY.format(name=name))
        return name
    if has_service:
        return DEFAULT_CLAUDE
    if is_dry_run:
        return OFFLINE
    raise ConfigurationError(_NO_MODEL)


def load_model(name: str, settings: Settings) -> Model:
    """Return the model of this name, imported only now: `offline`, `scripted:FILE`, `none`, or a Claude model's id.

    Raises:
        ConfigurationError: a script that cannot be read, or no key for a model that needs one.
    """
    if name == NOBODY:
        from agent.models.nobody import Nobody  # noqa: PLC0415 - only the chosen model is imported

        return Nobody()
    if name == OFFLINE:
        from agent.models.offline import OfflineModel  # noqa: PLC0415 - only the chosen model is imported

        return OfflineModel()
    if name.startswith(_SCRIPTED):
        from agent.models.scripted import ScriptedModel  # noqa: PLC0415 - only the chosen model is imported

        return ScriptedModel.from_file(Path(name.removeprefix(_SCRIPTED)))
    if settings.api_key is None and settings.base_url is None:
        raise ConfigurationError(_NO_KEY.format(name=name))

    from agent.models.claude import ClaudeModel  # noqa: PLC0415 - half a second of imports

    # A compatible server of one's own may want no key; the SDK wants one to be there.
    api_key = settings.api_key.get_secret_value() if settings.api_key is not None else "none"
    return ClaudeModel(model=name, api_key=api_key, base_url=settings.base_url)
