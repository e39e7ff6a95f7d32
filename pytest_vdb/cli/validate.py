"""`vdb validate`: does a metric say what people say?"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import print_json, print_table, show
from pytest_vdb.errors import RecordError
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.analysis.correlation import Coefficient


def add_to(commands: Any) -> None:
    """Register the subcommand."""
    validate = commands.add_parser(
        "validate",
        help="correlate a metric's scores with human ratings",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb validate clip_similarity --human ratings.json --scores reports/runs/LAST\n"
        "  vdb validate 'CLIP Score' --human alignment_score.json --scores results.csv\n"
        "  vdb validate vmaf --human ratings.csv          scores and ratings in one CSV\n\n"
        "Spearman's rho and Kendall's tau-b and tau-c over all clips, over the models' means and within each model,\n"
        "with 95% intervals by drawing the prompts anew. Ratings and scores are joined by model and by prompt.",
    )
    validate.add_argument("metric", metavar="METRIC", help="the metric, as the run or the CSV's column calls it")
    validate.add_argument("--human", type=expanded, required=True, metavar="FILE", help="ratings: JSON, CSV or JSONL")
    validate.add_argument("--scores", type=expanded, metavar="FILE", help="a run, or a CSV (default: the --human file)")
    validate.add_argument("--rating", metavar="COLUMN", help="the column of the ratings, in a CSV or JSONL")
    validate.add_argument(
        "--resamples", type=whole("--resamples", 0), default=1000, help="draws for intervals (default: %(default)s)"
    )
    validate.add_argument("--seed", type=whole("--seed", 0), default=0, help="of these draws (default: %(default)s)")
    validate.add_argument("--json", action="store_true", help="as JSON")
    validate.set_defaults(command=Command(ValidateArguments, _validate))


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateArguments:
    """What `vdb validate` was asked."""

    metric: str
    human: Path
    scores: Path | None
    rating: str | None
    resamples: int
    seed: int
    json: bool


def _validate(arguments: ValidateArguments) -> int:
    from pytest_vdb.analysis.correlation import agreement
    from pytest_vdb.analysis.ratings import pair_up, read_ratings, read_scores

    ratings = read_ratings(arguments.human, arguments.rating)
    scores = read_scores(arguments.scores or arguments.human, arguments.metric)
    pairs = pair_up(scores, ratings)
    if not pairs:
        raise RecordError(
            f"no clip has both a {arguments.metric!r} and a rating",
            where=f"{arguments.scores or arguments.human} and {arguments.human}",
            mend="the models' names, and the prompts' ids or texts, must be the same in both",
        )
    found = agreement(pairs, resamples=arguments.resamples, seed=arguments.seed)
    if arguments.json:
        print_json({"metric": arguments.metric, "clips": len(pairs), "agreement": [asdict(row) for row in found]})
        return 0
    header = ("over", "n", "prompts", "Spearman", "Kendall tau-b", "Kendall tau-c")
    print_table(
        header,
        (
            (row.of, row.n, row.prompts, *map(_coefficient_in_words, (row.spearman, row.kendall_b, row.kendall_c)))
            for row in found
        ),
    )
    rated = max(len(ratings.by_id), len(ratings.by_text))
    show(f"{arguments.metric}: {len(pairs)} of {rated} rated clips; 95% intervals over prompts, seed {arguments.seed}")
    return 0


def _coefficient_in_words(coefficient: Coefficient) -> str:
    if coefficient.value is None:
        return f"– ({coefficient.reason})"
    if coefficient.interval is None:
        return f"{coefficient.value:.3f}"
    low, high = coefficient.interval
    return f"{coefficient.value:.3f} [{low:.3f}, {high:.3f}]"
