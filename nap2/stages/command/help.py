"""What `python train.py` and `python train.py --help` print."""

from pathlib import Path

from nap2.stages import STAGES
from nap2.stages.command.compose import CONF


def overview(usage: str, conf: Path = CONF) -> str:
    """The stages, the groups with their options, and how to set a value."""
    width = max(len(name) for name in STAGES)
    lines = [usage.strip(), "", "stages (stage=…)"]
    lines += [f"  {s.name:<{width}}  {s.help}  [{s.reads} → {s.writes}]" for s in STAGES.values()]
    lines += ["", "groups (group=option)"]
    for folder in sorted(path for path in conf.iterdir() if path.is_dir() and path.name != "stages"):
        options = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        lines.append(f"  {folder.name:<{width}}  {options}")
    lines += ["", "every value: python train.py stage=snapshot --cfg job"]
    return "\n".join(lines)
