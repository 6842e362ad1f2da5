"""What a reader of your own images is told beside where they lie: refused in one line before an image is read."""

from nap2.errors import ConfigError


def check_options(
    test_fraction: float, split_seed: int, crop_padding: int, flip: bool, image_size: int | None = None
) -> None:
    """Refuse values that no image set can be made with; they come from a config, which takes any type.

    Raises:
        ConfigError: naming the key and what it must be.
    """
    _check_whole("split_seed", split_seed, least=0)
    _check_whole("crop_padding", crop_padding, least=0)
    if image_size is not None:
        _check_whole("image_size", image_size, least=1)
    if not isinstance(flip, bool):
        raise ConfigError(f"dataset.reader.flip={flip} is not true or false.")
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, (int, float)) or not 0 <= test_fraction <= 1:
        raise ConfigError(f"dataset.reader.test_fraction={test_fraction} must be a number from 0 to 1.")


def _check_whole(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"dataset.reader.{name}={value} must be a whole number of at least {least}.")
