"""The built-in models and local training from the settings: what does not go together, and a model in words."""

from __future__ import annotations

from peerage.config import Federation, ModelSettings
from peerage.optimising import ADAPTIVE
from peerage.version_checks import check_versions
from peerage_crypto.errors import InputError

SEQUENCES = ("gru", "transformer")
NAMES = {
    "perceptron": "perceptron with one hidden layer of {hidden}",
    "linear": "multinomial logistic regression",
    "cnn": "two convolutions and one hidden layer of {hidden} (norm: {norm})",
    "gru": "gated recurrent unit of {hidden}",
    "transformer": "transformer encoder of width {hidden}",
    "generator": "conditional generator (a normal distribution of low rank for each class)",
    "embedding": "learnt vectors of categories and one hidden layer of {hidden}",
}


def model_words(model: ModelSettings) -> str:
    """For people, of a built-in model."""
    words = NAMES[model.kind].format(hidden=model.hidden, norm=model.norm)
    if model.questions:
        return f"answers to common questions, each peer's from a {words} of its own"
    if model.candidates:
        return f"a tally of {len(model.candidates)} files of finished models, each a {words}"
    return f"{model.clusters} versions, each a {words}, of which every peer uses one" if model.clusters else words


def check_modelling(federation: Federation) -> tuple[str, ...]:
    """InputError where settings of the model would do nothing or break it; warnings for what the user must see."""
    model, default = federation.model, ModelSettings()
    chosen = f'model.kind = "{model.kind}"'
    if model.factory and model.kind != default.kind:
        raise InputError(f'{chosen} and model.factory = "{model.factory}" are two models: leave one of them out')
    if model.steps and model.kind not in SEQUENCES:
        raise InputError(f'{chosen} has no steps: choose kind = "gru" or "transformer", or leave model.steps out')
    if model.norm != default.norm and model.kind != "cnn":
        raise InputError(f'{chosen} has no norm to choose: choose kind = "cnn", or leave model.norm out')
    if model.kind == "embedding" and not federation.data.source.startswith("csv:"):
        raise InputError(
            f"{chosen} needs a table with categories, and data.source is {federation.data.source!r}: "
            'choose a csv source, or kind = "perceptron"'
        )
    _check_questions(federation)
    check_versions(federation)
    _check_balancing(federation)
    _check_parts(federation)
    if model.norm != "batch":
        return ()
    if federation.merge.optimiser in ADAPTIVE or federation.privacy.noise:
        what = "noise" if federation.privacy.noise else f'merge.optimiser = "{federation.merge.optimiser}"'
        raise InputError(
            f'model.norm = "batch" has running statistics, which {what} would spoil: choose norm = "group"'
        )
    warning = (
        'model.norm = "batch": running means and variances are summed, merged and revealed with the weights, and on '
        'unlike peers they fit nobody; norm = "group" has none'
    )
    return (warning,)


def _check_parts(federation: Federation) -> None:
    model, training = federation.model, federation.training
    scored = federation.exchange == "masked" and federation.scores.openings == "round"
    if model.local and scored and federation.data.validation != "private":
        raise InputError(
            'model.local gives each peer a head of its own, and with data.validation = "shared" all measure a round on '
            'one model: choose data.validation = "private", or scores.openings = "off"'
        )
    if training.head_epochs and not model.local:
        raise InputError(
            f"training.head_epochs = {training.head_epochs} trains what stays with a peer, and nothing stays: "
            'set model.local = ["head"], or leave it out'
        )
    if training.head_epochs and training.function:
        raise InputError("training.head_epochs belongs to the built-in training: leave it or training.function out")
    if model.base and not model.adapters:
        raise InputError("model.base is what adapters are beside: set model.adapters to their rank, such as 4")
    if model.adapters and model.norm == "batch":
        raise InputError('model.adapters freezes the layers, and running statistics would move: choose norm = "group"')


def _check_questions(federation: Federation) -> None:
    model, default = federation.model, ModelSettings()
    if not model.questions:
        return
    for name in ("local", "adapters", "base", "start"):
        if getattr(model, name) != getattr(default, name):
            raise InputError(
                f"model.{name} is about weights, and with model.questions none are exchanged: leave one of them out"
            )
    if model.kind == "generator":
        raise InputError('model.questions asks a classifier: choose another kind than "generator"')
    if federation.training.scaffold:
        raise InputError("training.scaffold corrects by exchanged weights, and model.questions exchanges answers")
    if federation.exchange == "masked" and federation.scores.openings == "round":
        raise InputError(
            "model.questions: no direction of weights says what an answer was worth, so nobody can be paid by score: "
            'set scores.openings = "off"'
        )


def _check_balancing(federation: Federation) -> None:
    training = federation.training
    used = [name for name in ("logit_adjustment", "augment") if getattr(training, name) not in (0.0, "none")]
    if used and training.function:
        raise InputError(
            f"training.{used[0]} belongs to the built-in training, and training.function takes its place: "
            "leave one of them out"
        )
    if used and federation.model.kind == "generator":
        raise InputError(
            f"training.{used[0]} corrects what a classifier learns from unlike labels, and a generator learns each "
            "class by itself: leave it out"
        )
    if training.generator and training.augment != "generated":
        raise InputError(
            f'training.generator draws no row with augment = "{training.augment}": choose augment = "generated"'
        )
    if training.augment == "generated" and not training.generator:
        raise InputError(
            'training.augment = "generated" needs a generator: run with model.kind = "generator" first, and name that '
            "run's directory as training.generator"
        )
    if training.counts == "held-out" and (federation.exchange == "plain" or federation.privacy.noise):
        why = "with noise no count leaves a peer" if federation.privacy.noise else "in plain exchange it weighs a merge"
        raise InputError(
            f'training.counts = "held-out" needs a masked sum of exact counts, and {why}: choose counts = "training"'
        )
