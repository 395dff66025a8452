"""The model that the options of a training ask for."""

from __future__ import annotations

import tensorflow as tf

from beam_pipelines.records import UserError
from trainer.config import TrainConfig
from trainer.dataset import Dataset
from trainer.objectives import NEGATIVE_SAMPLING, SKIPGRAM, gradient_function
from trainer.optimizers import Adagrad, Optimizer, Sgd, initial_accumulator_value
from trainer.plan import Plan
from trainer.replicas import LearningRate, Replicas


def new_replicas(
    config: TrainConfig, dataset: Dataset, strategy: tf.distribute.Strategy, plan: Plan
) -> Replicas:
    """Returns the model that the options ask for.

    Raises:
        UserError: the devices cannot share a batch.
    """
    assert config.alpha is not None
    assert config.min_alpha is not None
    devices = strategy.num_replicas_in_sync
    if plan.records % devices:
        raise UserError(
            f"--batch_size {config.batch_size} is {plan.records} records, which {devices} devices "
            f"cannot share; give a multiple of {devices * dataset.manifest.shape.length}"
        )
    return Replicas(
        strategy,
        _optimizer(config, dataset, plan),
        LearningRate(config.alpha, config.min_alpha, plan.limit),
        dataset.manifest.shape,
        words=len(dataset.vocabulary),
        vector_size=config.vector_size,
        seed=config.seed,
        compute=gradient_function(
            config.architecture, config.objective, mixed_precision=config.mixed_precision
        ),
        tied=config.tie_embeddings,
        sync_every=config.sync_every,
        native=config.native and _fits_native(config, strategy),
    )


def _optimizer(config: TrainConfig, dataset: Dataset, plan: Plan) -> Optimizer:
    """Returns the optimizer; Adagrad starts by what is planned when a training begins."""
    if config.optimizer == "sgd":
        return Sgd()
    if config.initial_accumulator_value is not None:
        return Adagrad(config.initial_accumulator_value)
    targets = plan.limit * plan.records * dataset.manifest.shape.length
    return Adagrad(initial_accumulator_value(targets, config.vector_size))


def _fits_native(config: TrainConfig, strategy: tf.distribute.Strategy) -> bool:
    """Returns whether our own machine code knows what is asked for: the default, on one CPU."""
    alone = strategy.num_replicas_in_sync == 1 and not tf.config.list_logical_devices("GPU")
    asked = config.architecture, config.objective, config.mixed_precision
    return alone and asked == (SKIPGRAM, NEGATIVE_SAMPLING, False)
