"""The published figures that a report or a card sets beside ours."""

from nap2.config import Config
from nap2.evaluation.records.published import PublishedFigure, load_published
from nap2.stages.command.compose import CONF

SHIPPED = CONF.parent / "docs/published/nap2.csv"
NONE = "none"


def published_figures(config: Config) -> list[PublishedFigure]:
    """Those of `report.published`: a file of the user's, the paper's own figures where it is null, or `none`."""
    if config.report.published == NONE:
        return []
    return load_published(config.report.published or SHIPPED)
