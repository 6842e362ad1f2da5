"""What `python train.py` and `python train.py --help` print."""

from nap2.stages import STAGES
from nap2.stages.command.compose import GROUPS


def overview(usage: str) -> str:
    """The stages, the groups with their options, and how to set a value."""
    width = max(len(name) for name in STAGES)
    lines = [usage.strip(), "", "stages (stage=…)"]
    lines += [f"  {s.name:<{width}}  {s.help}  [{s.reads} → {s.writes}]" for s in STAGES.values()]
    lines += ["", "groups (group=option)"]
    lines += [f"  {name:<{width}}  {', '.join(options)}" for name, options in GROUPS.items()]
    lines += ["", "every value: python train.py stage=snapshot --cfg job"]
    return "\n".join(lines)
