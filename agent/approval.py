"""Standing answers for calls that only a person may allow, for runs without a person."""

from agent.records import Approval, Proposal


class StandingApprover:
    """Gives every proposal the same answer, in the name of the option that chose it."""

    def __init__(self, *, is_granted: bool, by: str, because: str) -> None:
        self._answer = Approval(is_granted=is_granted, by=by, because=because)

    async def approve(self, proposal: Proposal) -> Approval:  # noqa: ARG002 - the answer does not depend on it
        """Return the standing answer."""
        return self._answer


def never(because: str = "no person is there to ask") -> StandingApprover:
    """Return the approver that grants nothing."""
    return StandingApprover(is_granted=False, by="--approve never", because=because)


def always() -> StandingApprover:
    """Return the approver that grants everything."""
    return StandingApprover(is_granted=True, by="--approve always", because="the operator asked for no questions")
