"""Models and loaders that a command line names as `module:attribute`."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

import torch
from torch import nn

from nap2.errors import ConfigError, UnknownNameError, described, kind_of
from nap2.seeding import forked_random_state


def import_object(path: str) -> object:
    """What `package.module:attribute` names; modules are also looked for in the working directory.

    Raises:
        ConfigError, UnknownNameError: if the path has no colon, or the module or attribute cannot be had.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise ConfigError(f"{path!r} names no object; write module:attribute, e.g. my_models:small_net.")
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: object = import_module(module_name)
    except Exception as error:  # a foreign module may fail in any way
        advice = "; call from the folder that holds it" if _is_missing(error, module_name) else ""
        if module_name.endswith(".py"):
            advice = f"; a module is named without its suffix, {module_name.removesuffix('.py')}:{attribute}"
        raise ConfigError(f"{path!r} cannot be imported: {described(error)}{advice}.") from error
    except SystemExit as error:
        raise ConfigError(
            f"{path!r} cannot be imported, for {module_name} runs as a program and exits; put what it runs under "
            '`if __name__ == "__main__":`.'
        ) from error
    for name in attribute.split("."):
        if not hasattr(found, name):
            known = [known for known in getattr(found, "__dict__", ()) if not known.startswith("_")]
            advice = "A dictionary is named as a whole." if isinstance(found, Mapping) else ""
            raise UnknownNameError(f"attribute of {module_name}", name, known, advice)
        found = getattr(found, name)
    return found


def _is_missing(error: Exception, module_name: str) -> bool:
    """Whether the named module itself was not found, and not one that it imports."""
    return isinstance(error, ModuleNotFoundError) and error.name == module_name


def models_from(entries: Sequence[str] | Mapping[str, str], seed: int = 0) -> dict[str, nn.Module]:
    """The models that a list of `[name=]module:attribute`, or a mapping from names to `module:attribute`, names.

    Args:
        entries: each attribute is a module, a class or function that makes one when called without arguments, or a
            mapping from names to any of these.
        seed: torch's random state at each call: models of one shape begin with the same weights.

    Returns:
        Models by name, in order; a model is called by its attribute where nothing else names it.

    Raises:
        ConfigError, UnknownNameError: if one cannot be had, is no model, or two have one name.
    """
    pairs = entries.items() if isinstance(entries, Mapping) else map(_split, entries)
    models: dict[str, nn.Module] = {}
    for given, path in pairs:
        for name, model in _models(given, path, seed):
            if name in models:
                raise ConfigError(f"Two models are called {name!r}; name one of them: other_name={path}.")
            models[name] = model
    if not models:
        raise ConfigError("There is no model to rank; name at least one as module:attribute.")
    return models


def placed(models: Mapping[str, nn.Module], device: torch.device) -> dict[str, nn.Module]:
    """The models on a device; one without any values (on the meta device) stays, and fails by itself when ranked."""
    return {
        name: model if any(parameter.is_meta for parameter in model.parameters()) else model.to(device)
        for name, model in models.items()
    }


def _split(entry: str) -> tuple[str, str]:
    name, equals, path = entry.rpartition("=")
    return (name, path) if equals else ("", entry)


def _models(given: str, path: str, seed: int) -> Iterator[tuple[str, nn.Module]]:
    found = made(import_object(path), path, seed)
    if isinstance(found, nn.Module):
        yield given or path.partition(":")[2], found
        return
    if not isinstance(found, Mapping):
        raise ConfigError(
            f"{path!r} gives {kind_of(found)}; name a torch module, what makes one, or a mapping of them."
        )
    for name, entry in found.items():
        model = made(entry, f"{path}[{name!r}]", seed)
        if not isinstance(model, nn.Module):
            raise ConfigError(f"{path}[{name!r}] gives {kind_of(model)}, which is no torch module.")
        yield f"{given}.{name}" if given else str(name), model


def made(found: object, path: str, seed: int) -> object:
    """The object itself, or what it returns if it is a class or function."""
    if isinstance(found, (nn.Module, Mapping)) or not callable(found):
        return found
    with forked_random_state():
        torch.manual_seed(seed)
        try:
            made: object = found()
        except Exception as error:  # a foreign function may fail in any way
            raise ConfigError(f"{path!r} cannot be called without arguments: {described(error)}.") from error
    return made
