"""Which candidates a config names: a user's list, or a seeded draw from the search space."""

import csv
import random
from collections.abc import Iterator
from pathlib import Path

from nap2.config import Config
from nap2.errors import ArchStringError, ConfigError, check_name
from nap2.sharding import shard
from nap2.snapshots.manifest import Candidate, Setting
from nap2.spaces import SPACES
from nap2.spaces.search_space import SearchSpace
from nap2.training.recipe import Recipe


def space_of(config: Config) -> SearchSpace:
    """The search space that the config names.

    Raises:
        UnknownNameError: if there is none of that name, or its networks have no such size.
        NetworkError: for a size that they cannot have.
    """
    check_name("search space", config.space.name, SPACES)
    space = SPACES[config.space.name]
    space.check_skeleton(config.space.skeleton)
    return space


def setting_of(config: Config) -> Setting:
    """What all candidates of this config's store share; the recipe's seed is that of candidates that name no other."""
    skeleton, recipe = dict(config.space.skeleton), Recipe.from_dict(config.recipe).as_dict()
    return Setting(config.space.name, skeleton, config.dataset.name, recipe, config.snapshot.every)


def candidates_of(config: Config) -> list[Candidate]:
    """Every candidate that `stage=snapshot` is to train, this task's shard only, in order.

    Raises:
        ConfigError, ArchStringError: for a missing list, an unreadable one, an arch string that the space refuses, or
            a draw of more than there are.
    """
    space, setting, seed = space_of(config), setting_of(config), int(config.recipe.get("seed", 0))
    options = config.snapshot
    if options.candidates:
        names = read_arch_strs(Path(options.candidates), space)
    else:
        names = draw(space, options.num_candidates, options.sample_seed, options.one_per_class)
        if len(names) < (options.num_candidates or 0):
            advice = ", or set snapshot.one_per_class=false" if options.one_per_class else ""
            raise ConfigError(
                f"snapshot.num_candidates={options.num_candidates} is more than the {len(names)} that {space.name} has"
                f"{' (one of each class)' if advice else ''}; lower it{advice}."
            )
    names = names[: options.num_candidates]
    found = [Candidate(setting, name, seed) for name in names]
    found += [Candidate(setting, name, seed + 1) for name in names[: options.second_seed]]
    index, count = _shard(options.shard)
    return shard(found, index, count)


def check_length(config: Config) -> None:
    """Refuse more snapshots than the recipe has steps for, where that is known before any image is read.

    Raises:
        ConfigError: with what would fit.
    """
    if (epoch := batches_per_epoch(config)) is not None:
        Recipe.from_dict(config.recipe).check_length(config.snapshot.num_snapshots, config.snapshot.every, epoch)


def batches_per_epoch(config: Config) -> int | None:
    """Mini-batches of one epoch, the last partial one included; None where the number of images is not known."""
    images = config.dataset.num_train
    return None if images is None else -(-images // int(config.recipe["batch_size"]))


def read_arch_strs(path: Path, space: SearchSpace) -> list[str]:
    """The column `arch_str` of a CSV, every entry checked.

    Raises:
        ConfigError: if the file or the column is missing, or a name stands twice.
        ArchStringError: with the line of the first unreadable entry.
    """
    if not path.is_file():
        raise ConfigError(f"No candidate list at {path}; give a CSV with a column arch_str.")
    try:
        text = path.read_text("utf-8-sig")  # spreadsheets put a mark before the first column's name
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (at byte {error.start}); save it as CSV.") from error
    names: dict[str, None] = {}
    for number, arch_str in _column(path, text):
        try:
            space.check(arch_str)
        except ArchStringError as error:
            raise ArchStringError(f"{path}, line {number}: {error}") from error
        if arch_str in names:
            raise ConfigError(f"{path}, line {number}: {arch_str} stands there twice; keep one.")
        names[arch_str] = None
    return list(names)


def _column(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """Line and value of each entry of `arch_str`; lines of nothing but commas are what spreadsheets leave behind.

    Raises:
        ConfigError: if there is no such column or two, an entry is missing, or a quote is not closed.
    """
    rows = csv.reader(text.splitlines(), strict=True)
    last = 0
    try:
        header = [name.strip() for name in next(rows, [])]
        if header.count("arch_str") != 1:
            hint = " Columns are separated by commas." if len(header) == 1 else ""
            found = "two columns" if "arch_str" in header else "no column"
            shown = ", ".join(header)[:200] or "empty"
            raise ConfigError(f"{path} has {found} called arch_str, it needs one; its header is {shown}.{hint}")
        place, last = header.index("arch_str"), rows.line_num
        for cells in rows:
            last = rows.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if place >= len(cells) or not cells[place].strip():
                raise ConfigError(f"{path}, line {last} has no arch_str; give it one, or remove the line.")
            yield last, cells[place].strip()
    except csv.Error as error:
        raise ConfigError(f"{path} is no CSV from line {last + 1} on ({error}); close the quotes there.") from error


def draw(space: SearchSpace, count: int | None, seed: int, one_per_class: bool) -> list[str]:
    """The first `count` of a seeded shuffle of the space, at most one of each functional class if asked."""
    order = list(space.arch_strings())
    random.Random(seed).shuffle(order)
    if not one_per_class:
        return order[:count]
    chosen: dict[str, str] = {}
    for name in order:
        if count is not None and len(chosen) >= count:
            break
        chosen.setdefault(space.classes["functional"](name), name)
    return list(chosen.values())


def _shard(text: str) -> tuple[int, int]:
    try:
        index, count = (int(part) for part in text.split("/"))
    except ValueError as error:
        raise ConfigError(f"snapshot.shard={text!r} is no index/count; write e.g. 3/16.") from error
    return index, count
