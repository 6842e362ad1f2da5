"""`conf/dataset/`: every entry names a reader that takes its values, and agrees with the table of sources."""

import inspect
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from fakes_images import noise
from omegaconf import OmegaConf

from data_modules.images import SOURCES

CONF = Path(__file__).resolve().parents[2] / "conf" / "dataset"
PATHS = sorted(CONF.glob("*.yaml"))


def composed(path, **values):
    tree = {"dataset": OmegaConf.merge(OmegaConf.load(path), OmegaConf.create(values)), "paths": {"data": "somewhere"}}
    return OmegaConf.create(tree).dataset


def reader_of(config):
    values = OmegaConf.to_container(config.reader, resolve=True)
    module, name = values.pop("_target_").rsplit(".", 1)
    return getattr(import_module(module), name), values


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_reader_takes_the_values_of_its_config(path):
    own = {"name": "own", "num_classes": 2, "reader": {"root" if "folder" in path.stem else "path": "x"}}
    reader, values = reader_of(composed(path, **(own if path.stem.startswith("own") else {})))
    inspect.signature(reader).bind(**values)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_names_and_stand_ins_are_those_of_the_table(path):
    config = OmegaConf.load(path)
    assert set(config) == {"name", "num_classes", "reader", "num_train", "stand_in_for", "note"}
    if path.stem in SOURCES:
        source = SOURCES[path.stem]
        assert (config.name, config.num_classes, config.stand_in_for) == (
            source.name,
            source.num_classes,
            source.stand_in_for,
        )
        assert config.num_train > 0
        assert (config.note is None) == (source.stand_in_for is None)


def test_every_source_has_its_config():
    assert set(SOURCES) <= {path.stem for path in PATHS}


def test_own_images_need_nothing_but_a_config_entry(tmp_path):
    np.savez(tmp_path / "own.npz", images=noise(10, 8, 8), labels=np.arange(10) % 2)
    reader = {"path": str(tmp_path / "own.npz"), "flip": True}
    reader, values = reader_of(composed(CONF / "own_npz.yaml", name="own", num_classes=2, reader=reader))
    images = reader(**values)
    assert (images.name, images.num_classes, images.flip, len(images.test_images)) == ("own", 2, True, 2)
