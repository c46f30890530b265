"""`MODEL_CARD.md`: what the model is, what it learned from, how to load it, and what nobody should conclude from it."""

from dataclasses import dataclass
from textwrap import fill

from peerage.config import Federation
from peerage.launch.summary import Quality
from peerage.modelling import model_words
from peerage.optimising import learning_words


@dataclass(frozen=True, slots=True)
class Facts:
    aggregate: str  # artefact id
    accuracy: float
    parameters: int
    layout: tuple[tuple[str, tuple[int, ...]], ...]
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    test_rows: int
    quality: Quality


def model_card(federation: Federation, facts: Facts) -> str:
    tensors = "\n".join(f"| `{name}` | {' x '.join(map(str, shape)) or 'scalar'} |" for name, shape in facts.layout)
    architecture = f"`{federation.model.factory}`" if federation.model.factory else _built_in(federation, facts)
    return f"""# Model card: {federation.name}

The final aggregate of a federation of {federation.peers} peers after {federation.rounds} rounds, trained with Peerage.
Its name is the SHA-256 of its parameters: `{facts.aggregate}`.

| | |
|---|---|
| architecture | {architecture}, {facts.parameters} parameters |
| input | one row of shape {facts.input_shape}, float32 |
| output | {len(facts.classes)} logits: {", ".join(facts.classes[:20])}{" ..." if len(facts.classes) > 20 else ""} |
| data | `{federation.data.source}`, split among the peers by `{federation.data.partition}`, seed {federation.seed} |
| exchange | {federation.exchange}; merge {learning_words(federation)} |
| accuracy | {100 * facts.accuracy:.1f} % on {facts.test_rows} held-out test rows |
| classes alike | {_classes_alike(facts.quality)} |

## Load it

```python
from safetensors.torch import load_file
state = load_file("model.safetensors")
```

Numbers in a table (CSV) must be prepared as in training: the file's metadata `preparation` holds columns and scaling.

| tensor | shape |
|---|---|
{tensors}

## What not to conclude

{fill(_last_words(federation), 118)}
"""


def _classes_alike(quality: Quality) -> str:
    figures = (
        ("macro-F1", quality.macro_f1),
        ("balanced accuracy", quality.balanced_accuracy),
        ("AUROC", quality.auroc),
    )
    said = ", ".join(f"{name} {'unknown' if share is None else f'{share:.3f}'}" for name, share in figures)
    weakest = min(
        ((one.recall, name) for name, one in quality.by_class.items() if one.recall is not None), default=None
    )
    return said if weakest is None else f"{said}; the least found class is {weakest[1]} ({100 * weakest[0]:.1f} %)"


def _last_words(federation: Federation) -> str:
    return (
        f"The accuracy is of one test split of this run. {_revealed(federation)} Who contributed what, and at which "
        "energy, stands in `summary.json`; `peerage audit` checks it."
    )


def _revealed(federation: Federation) -> str:
    """What is known of the peers' updates beside this model, and whether the model may remember rows."""
    if federation.exchange == "plain":
        seen = "Whoever merged saw the updates of the peers that it merged."
    else:
        seen = "Of a peer's update the exchange revealed the sums and the opened numbers that the summary lists."
    if federation.privacy.noise:
        return (
            f"{seen} Each update carried its share of noise with multiplier {federation.privacy.noise:g}; the epsilon "
            "of each peer, which says how much that hides, stands in `summary.json`."
        )
    return f"{seen} The model itself may remember training rows: no differential privacy was applied."


def _built_in(federation: Federation, facts: Facts) -> str:
    return f"{model_words(federation.model)}, {len(facts.classes)} classes"
