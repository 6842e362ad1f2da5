"""What a config node names by `_target_` is called with what it takes, or refused in one line."""

import pytest

from nap2.errors import ConfigError
from nap2.stages.command.parts import built

READER = {"_target_": "data_modules.images.read_npz", "path": "x.npz", "name": "x", "num_classes": 2}


def test_objects_are_handed_on_as_they_are() -> None:
    numbers = [1, 2]
    assert built({"_target_": "typing.cast", "typ": "list"}, val=numbers) is numbers


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {**READER, "crop_paddding": 4},
            "read_npz cannot be called: .*'crop_paddding'; it takes path, name, ",
        ),
        ({name: READER[name] for name in ("_target_", "path", "name")}, "missing .*'num_classes'; it takes path"),
        (
            {**READER, "_target_": "data_modules.images.read_zip"},
            "_target_=data_modules.images.read_zip cannot be called",
        ),
        ({**READER, "_target_": "no_such_module.read"}, "_target_=no_such_module.read cannot be called"),
    ],
)
def test_a_node_that_cannot_be_called_is_refused(node: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        built(node)
