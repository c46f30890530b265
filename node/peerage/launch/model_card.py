"""`MODEL_CARD.md`: what the model is, what it learned from, how to load it, and what nobody should conclude from it."""

from dataclasses import dataclass

from peerage.config import Federation


@dataclass(frozen=True, slots=True)
class Facts:
    aggregate: str  # artefact id
    accuracy: float
    parameters: int
    layout: tuple[tuple[str, tuple[int, ...]], ...]
    classes: tuple[str, ...]
    input_shape: tuple[int, ...]
    test_rows: int


def model_card(federation: Federation, facts: Facts) -> str:
    tensors = "\n".join(f"| `{name}` | {' x '.join(map(str, shape)) or 'scalar'} |" for name, shape in facts.layout)
    architecture = f"`{federation.model.factory}`" if federation.model.factory else _perceptron(federation, facts)
    return f"""# Model card: {federation.name}

The final aggregate of a federation of {federation.peers} peers after {federation.rounds} rounds, trained with Peerage.
Its name is the SHA-256 of its parameters: `{facts.aggregate}`.

| | |
|---|---|
| architecture | {architecture}, {facts.parameters} parameters |
| input | one row of shape {facts.input_shape}, float32 |
| output | {len(facts.classes)} logits: {", ".join(facts.classes[:20])}{" ..." if len(facts.classes) > 20 else ""} |
| data | `{federation.data.source}`, split among the peers by `{federation.data.partition}`, seed {federation.seed} |
| exchange | {federation.exchange}; merge {federation.merge.rule} with momentum {federation.merge.momentum} |
| accuracy | {100 * facts.accuracy:.1f} % on {facts.test_rows} held-out test rows |

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

The accuracy is of one test split of this run. The update of a peer was never revealed by the masked exchange beyond the
sums and the opened numbers that the summary lists, but the model itself may remember training rows: no differential
privacy was applied. Who contributed what, and at which energy, stands in `summary.json`; `peerage audit` checks it.
"""


def _perceptron(federation: Federation, facts: Facts) -> str:
    return f"perceptron with one hidden layer of {federation.model.hidden}, {len(facts.classes)} classes"
