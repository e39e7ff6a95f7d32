"""Who of very many models might still be the best one: a quick look, before the test that deals out values.

That test (`best.py`) takes a second for 300 models on 1,000 prompts, and a table has twenty metrics. Most of 300 models
are plainly worse than the best, and where prompts are many Student's t says so in a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_vdb.statistics.means import paired_t_p_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_PROMPTS_FOR_T = 200
"""With fewer the tails that this looks at are not those of Student's t for skewed values."""
PLAINLY_WORSE = 0.001
"""A fiftieth of what the test itself may err: added to it, this is no more than it allows for its own draws."""


def p_values_of_plainly_worse(merits: NDArray[np.float64]) -> NDArray[np.float64]:
    """p-values of "this model is as good as the one with the highest mean", corrected for every pair of models.

    Null: the mean paired difference is zero. Assumed: prompts are independent and so many that the mean difference is
    close to normal far out in its tails; the correction is Bonferroni's over all pairs, as any of them may lead.

    Args:
        merits: `(models, prompts)`: a mean per prompt, higher is better; every model on the same prompts.

    Returns:
        `(models,)` in [0, 1], below `PLAINLY_WORSE` where a model need not be looked at again; 1 for the leader, and
        for all where the prompts are too few.
    """
    merits = np.asarray(merits, dtype=np.float64)
    models, prompts = merits.shape
    if models < 2 or prompts < LEAST_PROMPTS_FOR_T:
        return np.ones(models)
    best = int(merits.mean(axis=1).argmax())
    p = paired_t_p_values((merits[best] - merits).T)
    corrected: NDArray[np.float64] = np.minimum(1.0, p * models * (models - 1))
    return corrected
