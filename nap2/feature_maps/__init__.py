"""From ragged statistics to the padded map an encoder reads."""

from nap2.feature_maps.network import feature_map
from nap2.feature_maps.padding import dense_maps, encoder_input, log_normalise

__all__ = ["dense_maps", "encoder_input", "feature_map", "log_normalise"]
