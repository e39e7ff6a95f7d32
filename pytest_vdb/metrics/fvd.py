"""Fréchet video distance, by the name of the variant: they differ, and only like is compared with like.

| metric | preprocessing | covariance | reference implementation |
|---|---|---|---|
| `fvd` | short side to 224, centre square | over N-1 | StyleGAN-V (arXiv 2112.14683), as re-used by most papers |
| `fvd_cd` | squashed to 224x224 | over N | cd-fvd (arXiv 2404.12391) with its I3D |
| `fvd_videomae` | squashed to 224x224 | over N | cd-fvd with its default network, VideoMAE (`videomae.py`) |
| `fvd_infinity` | as `fvd` | over N-1 | the idea of FID-infinity (arXiv 1911.07023): extrapolated to N -> infinity |

All but `fvd_videomae` look through the 400 logits of I3D (`i3d.py`). All look at all frames of a clip at once;
published numbers use 16 frames.

FVD is biased: two samples of the same distribution are apart, by an amount that falls as 1/N (measured at 400 numbers:
19 at N = 64, 1.1 at N = 2048). So N is always shown, below 1000 clips the value says what it is worth, and `kvd` and
`jedi`, which have no such bias, are what to gate on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_vdb.errors import CannotMeasure
from pytest_vdb.metrics.contract import ReferenceFeatures, Score, SwapTester, metric
from pytest_vdb.metrics.frechet import frechet_distance
from pytest_vdb.metrics.moments import Moments, checked
from pytest_vdb.metrics.resampling import GROUPS, SwapTest, interval, leave_outs, swap_test

if TYPE_CHECKING:
    from numpy.typing import NDArray

ENOUGH_CLIPS = 1000
BLOCKS = 4
"""Blocks into which `fvd_infinity` cuts a set at most."""


def frechet_swaps(*, ddof: int) -> SwapTester:
    """The test whether one model's Fréchet distance differs from another's by more than chance.

    Args:
        ddof: covariances are divided by `N - ddof`.
    """

    def test(first: NDArray[Any], second: NDArray[Any], reference: ReferenceFeatures, **how: Any) -> SwapTest:
        theirs = side(reference)
        if not isinstance(theirs, Moments) and len(theirs) > theirs.shape[1]:
            theirs = Moments.of(theirs, source=reference.source)  # once, and not for every swap
        return swap_test(first, second, lambda mine: frechet_distance(mine, theirs, ddof=ddof), **how)

    return test


def infinity_swaps(first: NDArray[Any], second: NDArray[Any], reference: ReferenceFeatures, **how: Any) -> SwapTest:
    """The same for the distance at infinitely many clips."""
    theirs = side(reference)
    order = np.random.default_rng(0).permutation(len(first))

    def value(mine: NDArray[Any]) -> float:
        return _intercept(mine[order[order < len(mine)]], theirs)  # the jackknife asks of fewer

    return swap_test(first, second, value, **how)


@metric(
    "fvd",
    unit="1",
    better="lower",
    bounds=(0, None),
    version="styleganv",
    default=False,
    orders=("blur", "noise", "frozen", "shuffled"),
    swaps=frechet_swaps(ddof=1),
    papers=("unterthiner2018fvd", "skorokhodov2022styleganv"),
)
def fvd(i3d_set: Sequence[NDArray[np.float32]], i3d_reference: ReferenceFeatures) -> Score:
    """Fréchet video distance as StyleGAN-V computes it (covariance over N-1).

    Args:
        i3d_set: `(400,)` I3D logits of each clip.
        i3d_reference: those of the reference set, or their moments.

    Returns:
        >= 0, 0 for identical sets; n clips; the 95% grouped-jackknife interval of the distance at this N (not of its
        limit for many clips).

    Raises:
        CannotMeasure: fewer than two clips on either side, or features that are not finite.

    Source: Unterthiner et al. (arXiv 1812.01717). Reference implementation: StyleGAN-V (arXiv 2112.14683), within 1e-6.
    """
    return scored(i3d_set, i3d_reference, ddof=1)


@metric(
    "fvd_cd",
    unit="1",
    better="lower",
    bounds=(0, None),
    version="cd-fvd",
    default=False,
    swaps=frechet_swaps(ddof=0),
    papers=("ge2024content",),
)
def fvd_cd(i3d_cd_set: Sequence[NDArray[np.float32]], i3d_cd_reference: ReferenceFeatures) -> Score:
    """Fréchet video distance as cd-fvd computes it (squashed frames, covariance over N).

    Arguments, result and errors as those of `fvd`.

    Source: Ge et al., CVPR 2024 (arXiv 2404.12391), with the network `i3d` of their code, within 1e-6.
    """
    return scored(i3d_cd_set, i3d_cd_reference, ddof=0)


@metric(
    "fvd_videomae",
    unit="1",
    better="lower",
    bounds=(0, None),
    version="cd-fvd",
    default=False,
    swaps=frechet_swaps(ddof=0),
    papers=("ge2024content",),
)
def fvd_videomae(videomae_set: Sequence[NDArray[np.float32]], videomae_reference: ReferenceFeatures) -> Score:
    """Fréchet video distance through VideoMAE, cd-fvd's default: it weighs motion more and single frames less than I3D.

    A classifier of Kinetics can mostly go by single frames; this network was trained on motion (Something-Something).
    Not on the scale of `fvd`: features of 1408 numbers after a layer norm, covariance over N, frames squashed.

    Args:
        videomae_set: `(D,)` features of each clip.
        videomae_reference: those of the reference set, or their moments.

    Returns:
        >= 0, 0 for identical sets; n clips; 95% grouped-jackknife interval. With D = 1408 its bias at a given N is
        larger than that of `fvd`.

    Raises:
        CannotMeasure: fewer than two clips on either side, or features that are not finite.

    Source: Ge et al., On the content bias in Fréchet video distance, CVPR 2024 (arXiv 2404.12391).
    """
    return scored(videomae_set, videomae_reference, ddof=0)


@metric(
    "fvd_infinity",
    unit="1",
    better="lower",
    version="blocks-1-to-4",
    default=False,
    swaps=infinity_swaps,
    papers=("chong2020infinity",),
)
def fvd_infinity(i3d_set: Sequence[NDArray[np.float32]], i3d_reference: ReferenceFeatures) -> Score:
    """Fréchet video distance extrapolated to infinitely many clips: the bias falls as 1/N, so a line in 1/N finds it.

    The clips are cut into 1, 2, 3 and 4 equal blocks (as far as each block has more clips than I3D has dimensions) and
    the mean distance of the blocks is fitted; a reference set whose features are at hand is cut likewise.

    Args:
        i3d_set: `(400,)` I3D logits of each clip.
        i3d_reference: those of the reference set; of moments alone, the reference's own bias remains and is said.

    Returns:
        The intercept, which may be slightly negative where there is no distance; 95% grouped-jackknife interval.

    Raises:
        CannotMeasure: fewer than 802 clips: two blocks of more than 400 are the least that shows a slope.

    Source: the idea of FID-infinity, Chong and Forsyth (arXiv 1911.07023).
    """
    features, reference = stacked(i3d_set), side(i3d_reference)
    least = 2 * (features.shape[1] + 1)
    counts = [len(features)] + ([] if isinstance(reference, Moments) else [len(reference)])
    if min(counts) < least:
        raise CannotMeasure(
            f"fvd_infinity needs {least} clips, got {min(counts)}",
            mend="every block must have more clips than features",
        )
    order = np.random.default_rng(0).permutation(len(features))
    features = features[order]  # neighbours share a prompt; blocks must not
    value = _intercept(features, reference)
    without = _leaving_out(features, reference, _intercept, groups=10)
    kept = "only moments of the reference are at hand: its own bias remains" if isinstance(reference, Moments) else None
    return Score(value, n=len(features), interval=interval(value, without), reason=kept)


def scored(features: Sequence[NDArray[Any]], given: ReferenceFeatures, *, ddof: int) -> Score:
    """The Fréchet distance of a set to a reference with N, its interval, and what N is worth.

    Raises:
        CannotMeasure: fewer than two clips on either side (over N, one would have a covariance of 0), or features that
            cannot be used.
    """
    vectors, reference = stacked(features), side(given)
    smallest = min(len(vectors), reference.n if isinstance(reference, Moments) else len(reference))
    if smallest < 2:
        raise CannotMeasure(f"needs 2 clips on either side, got {smallest}")

    def distance(mine: NDArray[np.float64], theirs: NDArray[np.float64] | Moments) -> float:
        return frechet_distance(mine, theirs, ddof=ddof)

    value = distance(vectors, reference)
    within = interval(value, _leaving_out(vectors, reference, distance)) if smallest >= 4 else None
    return Score(
        value,
        n=len(vectors),
        interval=None if within is None else (max(0.0, within[0]), within[1]),
        reason=_worth_of_fvd(len(vectors)),
    )


def stacked(features: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """One clip's feature per row.

    Raises:
        CannotMeasure: no clip, features of different sizes, or a number that is not finite.
    """
    if not len(features):
        raise CannotMeasure("there are no clips")
    if len(sizes := {np.size(feature) for feature in features}) > 1:
        raise CannotMeasure(
            f"features of {' and '.join(map(str, sorted(sizes)))} numbers", mend="measure all clips again"
        )
    return checked(np.stack([np.asarray(feature, dtype=np.float64).reshape(-1) for feature in features]))


def side(given: ReferenceFeatures) -> NDArray[np.float64] | Moments:
    """The reference's features, or the moments where only these were kept.

    Raises:
        CannotMeasure: it has neither, or they are not finite.
    """
    if given.features is not None:
        return checked(given.features, source=given.source)
    if given.moments is not None:
        return Moments.from_arrays(given.moments, source=given.source)
    raise CannotMeasure("neither features nor moments", where=given.source, mend="build the reference again")


def _leaving_out(
    vectors: NDArray[np.float64],
    reference: NDArray[np.float64] | Moments,
    distance: Callable[[NDArray[np.float64], NDArray[np.float64] | Moments], float],
    *,
    groups: int = GROUPS,
) -> list[NDArray[np.float64]]:
    """The distance without each group of clips, and without each group of reference clips where they are at hand."""
    without = [np.array([distance(vectors[rest], reference) for rest in leave_outs(len(vectors), groups=groups)])]
    if not isinstance(reference, Moments):
        rests = leave_outs(len(reference), groups=groups)
        without.append(np.array([distance(vectors, reference[rest]) for rest in rests]))
    return without


def _worth_of_fvd(n: int) -> str | None:
    if n >= ENOUGH_CLIPS:
        return None
    return f"N = {n} clips: below {ENOUGH_CLIPS} most of a Fréchet distance can be bias; compare only at equal N"


def _intercept(features: NDArray[np.float64], reference: NDArray[np.float64] | Moments) -> float:
    """Where the line of distance over 1/N meets 1/N = 0."""
    whole = [len(features)] + ([] if isinstance(reference, Moments) else [len(reference)])
    most = min(BLOCKS, *(n // (features.shape[1] + 1) for n in whole))
    blocks = np.arange(1, max(2, most) + 1)
    distances = [_mean_over_blocks(features, reference, count) for count in blocks]
    return float(np.polynomial.polynomial.polyfit(blocks / len(features), distances, 1)[0])


def _mean_over_blocks(features: NDArray[np.float64], reference: NDArray[np.float64] | Moments, count: int) -> float:
    theirs = [reference] * count if isinstance(reference, Moments) else [reference[i::count] for i in range(count)]
    return float(np.mean([frechet_distance(features[i::count], theirs[i]) for i in range(count)]))
