"""Training: configuration, augmentation, the loop, and the run folder it leaves behind."""

from fsq_edge.training.config import TrainConfig, load_config
from fsq_edge.training.run import Run, load_run
from fsq_edge.training.trainer import TrainResult, train

__all__ = ["Run", "TrainConfig", "TrainResult", "load_config", "load_run", "train"]
