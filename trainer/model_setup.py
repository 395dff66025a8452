"""The model that the options of a training ask for."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from pmc2vec.errors import UserError
from trainer.config import TrainConfig
from trainer.dataset_reader import Dataset
from trainer.distribution.replicas import LearningRate, Replicas
from trainer.objectives import NEGATIVE_SAMPLING, SKIPGRAM, gradient_function
from trainer.optimizers import Adagrad, Optimizer, Sgd, initial_accumulator_value
from trainer.schedule import Plan


def new_replicas(
    config: TrainConfig,
    dataset: Dataset,
    strategy: tf.distribute.Strategy,
    plan: Plan,
    tell: Callable[[str], None] = lambda _: None,
) -> Replicas:
    """Returns the model that the options ask for; `tell` takes lines for the user.

    Raises:
        UserError: the devices cannot share a batch.
    """
    assert config.alpha is not None
    assert config.min_alpha is not None
    assert config.warmup is not None
    devices = strategy.num_replicas_in_sync
    if plan.records % devices:
        raise UserError(
            f"--batch_size {config.batch_size} is {plan.records} records, which {devices} devices "
            f"cannot share; give a multiple of {devices * dataset.manifest.shape.length}"
        )
    native = config.native and _fits_native(config, strategy)
    return Replicas(
        strategy,
        _optimizer(config, dataset, plan),
        LearningRate(config.alpha, config.min_alpha, plan.limit, config.warmup),
        dataset.manifest.shape,
        words=len(dataset.vocabulary),
        vector_size=config.vector_size,
        seed=config.seed,
        compute=gradient_function(
            config.architecture, config.objective, mixed_precision=config.mixed_precision == "on"
        ),
        tied=config.tie_embeddings,
        sync_every=config.sync_every,
        native=native,
        mixed_precision=native and _multiplies_bfloat16(config),
        tell=tell,
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
    if strategy.num_replicas_in_sync > 1 or tf.config.list_logical_devices("GPU"):
        return False
    if (config.architecture, config.objective) != (SKIPGRAM, NEGATIVE_SAMPLING):
        return False
    from trainer.cpu_kernels.llvm_intrinsics import HAS_BFLOAT16

    return HAS_BFLOAT16 or config.mixed_precision != "on"


def _multiplies_bfloat16(config: TrainConfig) -> bool:
    """Returns whether our own machine code is to multiply in bfloat16."""
    from trainer.cpu_kernels.llvm_intrinsics import FASTER_IN_BFLOAT16

    return {"on": True, "off": False, "auto": FASTER_IN_BFLOAT16}[config.mixed_precision]
