"""The rows of a split that are shown as examples, with their answers."""

from collections.abc import Sequence

import numpy as np

from ml_core.answers import load_kind
from ml_core.asking import Example, FewShotSpec
from ml_core.data.roles import CHOICES_ROLE
from ml_core.data.schema import read_items
from ml_core.errors import Code, UserError
from ml_core.evaluate.tasks import get_task
from ml_core.specs import EvaluationSpec


def choose_examples(spec: EvaluationSpec, few_shot: FewShotSpec) -> tuple[Example, ...]:
    """Those that `few_shot` names of the split that `spec.data` is.

    Args:
        spec: as for an evaluation of that split, with its columns.

    Raises:
        UserError: whatever is wrong with the data; `dataset_broken_row` where it has too few rows,
            or not the ones named.
    """
    task = get_task(spec.task)
    items = read_items(spec.data, task.inputs, task.truth)
    truth = load_kind(task.answer).read_truth(items, spec)
    questions = items.inputs.column("question")
    choices = items.inputs.column(CHOICES_ROLE)
    return tuple(
        Example(
            items.item_ids[at],
            questions[at].as_py(),
            tuple(choices[at].as_py()),
            int(truth.answers[at]),
        )
        for at in rows_of(few_shot, items.item_ids)
    )


def rows_of(few_shot: FewShotSpec, item_ids: Sequence[str]) -> list[int]:
    """Row numbers, in the order in which they are shown. Raises UserError `dataset_broken_row`."""
    if few_shot.ids:
        places = {item_id: at for at, item_id in enumerate(item_ids)}
        lacking = [item_id for item_id in few_shot.ids if item_id not in places]
        if lacking:
            raise UserError(
                Code.BROKEN_ROW,
                f"The split {few_shot.split!r} has no example {lacking[0]!r}.",
                item_ids=lacking[:5],
            )
        return [places[item_id] for item_id in few_shot.ids]
    if few_shot.n > len(item_ids):
        raise UserError(
            Code.BROKEN_ROW,
            f"The split {few_shot.split!r} has {len(item_ids)} rows, fewer than the "
            f"{few_shot.n} examples that are to be shown.",
        )
    if few_shot.seed is None:
        return list(range(few_shot.n))
    drawn = np.random.default_rng(few_shot.seed).permutation(len(item_ids))
    return [int(at) for at in drawn[: few_shot.n]]
