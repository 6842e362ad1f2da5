"""What a campaign, or one worker of it, ended with."""

from dataclasses import dataclass

EXIT_COMPLETE, EXIT_FAILED, EXIT_UNFINISHED = 0, 1, 3


@dataclass(frozen=True)
class CampaignSummary:
    """Where the candidates of one call stand at its end.

    Attributes:
        total: candidates asked for.
        done: of these, complete in the store.
        failed: recorded as failed.
        found: complete before the call began.
        seconds: how long the call took.
        stopped: why it ended early, or None.
    """

    total: int
    done: int
    failed: int
    found: int
    seconds: float
    stopped: str | None = None

    @property
    def missing(self) -> int:
        """Neither complete nor failed: interrupted, or at work in another process."""
        return self.total - self.done - self.failed

    @property
    def exit_code(self) -> int:
        """0: all there; 1: some failed; 3: some are still missing and the same command goes on with them."""
        if self.missing:
            return EXIT_UNFINISHED
        return EXIT_FAILED if self.failed else EXIT_COMPLETE

    def sentence(self) -> str:
        """One line for a person."""
        if self.found == self.total:
            return f"All {self.total} candidates are there already; nothing to do."
        text = f"{self.done} of {self.total} candidates are complete, {self.done - self.found} of them new."
        if self.failed:
            text += f" {self.failed} failed (reasons in the store's failed/; retry_failed=true tries them again)."
        if self.missing and self.stopped:
            text += f" Stopped ({self.stopped}): the same command goes on with the {self.missing} missing."
        elif self.missing:
            text += f" Other processes are at work on {self.missing}; the same command looks again."
        return text
