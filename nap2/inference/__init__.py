"""Using a trained predictor; imports torch and safetensors alone."""

from nap2.inference.prediction import Prediction
from nap2.inference.predictor import Predictor
from nap2.inference.ranking import Ranking

__all__ = ["Prediction", "Predictor", "Ranking"]
