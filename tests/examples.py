"""Which examples hypothesis tries: the same in every ordinary run, new ones where the environment asks for them.

`SUPPORT_AGENT_FUZZ=20 pytest tests/protocol` tries twenty times as many examples, and others each time (with
`--hypothesis-seed=7` the same ones again). What it finds becomes a test of its own: an ordinary run, in CI too, is no
lottery.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.constants_ast import Constants

IS_EXPLORING = "SUPPORT_AGENT_FUZZ" in os.environ
FACTOR = int(os.environ.get("SUPPORT_AGENT_FUZZ", "1"))
"""Read at import: the tests themselves run without variables of this name."""

settings.register_profile(
    "support-agent",
    max_examples=100 * FACTOR,
    derandomize=not IS_EXPLORING,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # a busy machine is no reason to fail
    print_blob=True,
)
settings.load_profile("support-agent")

if not IS_EXPLORING:
    # Hypothesis mixes in constants from those of our modules that happen to be imported: with them, the examples would
    # differ from commit to commit and from worker to worker. There is no setting for it.
    HypothesisProvider._local_constants = Constants()  # pyright: ignore[reportAttributeAccessIssue]
