"""`vdb arena`: which clips do people prefer? A page to vote on, a server that collects, and what the votes say."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vdb import files
from pytest_vdb.cli.arguments import Command
from pytest_vdb.cli.numbers import whole
from pytest_vdb.cli.printing import flush, print_json, print_table, show, warn
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.figures import MISSING
from pytest_vdb.files import expanded

if TYPE_CHECKING:
    from pytest_vdb.analysis.preference import Preferences
    from pytest_vdb.analysis.votes import Shown, Vote
    from pytest_vdb.arena.pairing import Candidate
    from pytest_vdb.records import Record, Run

_CHECKS_PER_PAIRS = 10
"""One check to so many pairs, unless told otherwise."""
_IDENTITY = ("task", "weights", "revision", "recipe", "recipe_digest", "hardware")
"""What tells a model's row of a leaderboard from another row of it."""


def add_to(commands: Any) -> None:
    """Register the subcommands."""
    arena = commands.add_parser("arena", help="which clips do people prefer? A blind page of pairs, and its votes")
    below = arena.add_subparsers(dest="arena", required=True, metavar="build|serve|count")
    _add_build(below)
    _add_serve(below)
    _add_count(below)


def _add_build(commands: Any) -> None:
    build = commands.add_parser(
        "build",
        help="make a blind page of pairs from the clips of runs",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb arena build reports/runs/LAST --output arena\n"
        "  vdb arena build RUN RUN --output second --pairs 200 --per-rater 40 --votes arena/votes.jsonl\n\n"
        "The page is arena/page/index.html: open it, or put the folder page/ on any web server. It works offline,\n"
        "keeps votes in the browser and saves them as JSONL. Keep key.json to yourself: it says what is what.",
    )
    build.add_argument("runs", nargs="+", type=expanded, metavar="RUN", help="folders of runs with their clips")
    build.add_argument("--output", "-o", type=expanded, required=True, metavar="DIR", help="the arena's folder")
    chosen = "only these, names or globs, comma-separated (default: all but calibration models)"
    build.add_argument("--models", metavar="NAMES", help=chosen)
    build.add_argument("--pairs", type=whole("--pairs", 1), metavar="N", help="how many (default: all there are)")
    asked = "how many pairs each rater is asked (default: all)"
    build.add_argument("--per-rater", type=whole("--per-rater", 1), metavar="N", help=asked)
    spoiled = "clips shown beside themselves made worse, to find who does not look (default: one to ten pairs)"
    build.add_argument("--checks", type=whole("--checks", 0), metavar="N", help=spoiled)
    earlier = "votes of before: pairs of which one more vote tells most come first"
    build.add_argument("--votes", nargs="+", type=expanded, default=[], metavar="FILE", help=earlier)
    build.add_argument("--arena", type=expanded, metavar="DIR", help="whose votes those are (its key)")
    build.add_argument("--seed", type=whole("--seed", 0), default=0, metavar="N", help="of the choice of pairs")
    build.set_defaults(command=Command(BuildArguments, _build_arena))


def _add_serve(commands: Any) -> None:
    serve = commands.add_parser("serve", help="show an arena in browsers and collect their votes")
    serve.add_argument("folder", type=expanded, metavar="DIR", help="what vdb arena build wrote")
    listen = "address to listen on (default: %(default)s, this machine alone)"
    serve.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help=listen)
    serve.add_argument("--port", type=whole("--port", 0), default=8765, metavar="N", help="default: %(default)s")
    serve.set_defaults(command=Command(ServeArguments, _serve_arena))


def _add_count(commands: Any) -> None:
    count = commands.add_parser(
        "count",
        help="what the votes say: models, raters, and the metrics that agree with them",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n"
        "  vdb arena count arena/votes.jsonl --arena arena\n"
        "  vdb arena count votes-*.jsonl --arena arena --runs RUN --output preference.jsonl\n"
        "  vdb report RUN preference.jsonl                the leaderboard with a column of what people prefer\n"
        "  vdb arena count Batch_123_results.csv          Mechanical Turk, with models as sides\n\n"
        "Votes are JSONL or CSV, also of Mechanical Turk, Prolific and GenAI-Arena: see docs/arena.md.",
    )
    count.add_argument("votes", nargs="+", type=expanded, metavar="VOTES", help="files of votes")
    count.add_argument("--arena", type=expanded, metavar="DIR", help="the folder of their arena, if it is one of ours")
    shown = "what was shown: how often do its metrics agree with the votes?"
    count.add_argument("--runs", nargs="+", type=expanded, default=[], metavar="RUN", help=shown)
    count.add_argument("--without", action="append", default=[], metavar="RATER", help="leave out; repeatable")
    kept = "write them as records, for vdb report RUN FILE"
    count.add_argument("--output", "-o", type=expanded, metavar="FILE", help=kept)
    count.add_argument("--json", action="store_true", help="print JSON instead of tables")
    count.set_defaults(command=Command(CountArguments, _count_votes))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildArguments:
    """What `vdb arena build` was asked."""

    runs: tuple[Path, ...]
    output: Path
    models: str | None
    pairs: int | None
    per_rater: int | None
    checks: int | None
    votes: tuple[Path, ...]
    arena: Path | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeArguments:
    """What `vdb arena serve` was asked."""

    folder: Path
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CountArguments:
    """What `vdb arena count` was asked."""

    votes: tuple[Path, ...]
    arena: Path | None
    runs: tuple[Path, ...]
    without: tuple[str, ...]
    output: Path | None
    json: bool


def _build_arena(arguments: BuildArguments) -> int:
    from pytest_vdb.arena import folder
    from pytest_vdb.arena.pairing import pairs_of
    from pytest_vdb.arena.server import telling_of

    clips, identities, without = _clips_of(arguments.runs, arguments.models)
    if without:
        warn(f"{without} records have no clip that a browser plays: they are not shown")
    telling = telling_of(_votes_of(arguments.votes, arguments.arena)) if arguments.votes else None
    pairs = pairs_of(clips, arguments.pairs, seed=arguments.seed, telling=telling)
    checks = -(-len(pairs) // _CHECKS_PER_PAIRS) if arguments.checks is None else arguments.checks
    arena = folder.build(
        arguments.output,
        pairs,
        checks=checks,
        per_rater=arguments.per_rater,
        models=identities,
        seed=arguments.seed,
    )
    models = {shown.model for shown in arena.shown.values()}
    show(f"{len(pairs)} pairs of {len(models)} models and {len(arena.checks)} checks: {arguments.output}")
    show(f"open {arguments.output / folder.PAGE / 'index.html'}, or: vdb arena serve {arguments.output}")
    return 0


def _serve_arena(arguments: ServeArguments) -> int:
    from pytest_vdb.arena.folder import VOTES
    from pytest_vdb.arena.server import server
    from pytest_vdb.serving import LOOPBACK, address_of

    listening, desk = server(arguments.folder, arguments.host, arguments.port)
    if arguments.host not in LOOPBACK:
        warn("whoever reaches this machine can vote; nothing is encrypted")
    show(f"{address_of(listening)}  (Ctrl-C ends; votes: {arguments.folder / VOTES})")
    flush()  # whoever started this in the background waits for the address
    with contextlib.closing(listening.socket):
        try:
            listening.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt as stop:
            stop.add_note(f"{desk.votes} votes are in {arguments.folder / VOTES}")
            raise
    return 0


def _count_votes(arguments: CountArguments) -> int:
    from pytest_vdb.analysis.preference import count

    votes = _votes_of(arguments.votes, arguments.arena)
    if not votes:
        raise OptionError("there are no votes", where=" ".join(map(str, arguments.votes)), mend="ask somebody")
    _check_raters(arguments.without, votes)
    records = [record for run in arguments.runs for record in _run_and_records(run)[1]]
    found = count(votes, records, without=arguments.without)
    if arguments.output is not None:
        _write_records(arguments.output, found, arguments)
    if arguments.json:
        print_json(dataclasses.asdict(found))
        return 0
    _print_preferences(found)
    return 0


def _clips_of(runs: Sequence[Path], names: str | None) -> tuple[list[Candidate], dict[str, dict[str, Any]], int]:
    """The first clip of each model and prompt, what each model was, and how many records have none to show."""
    from pytest_vdb.arena.pairing import Candidate

    clips: dict[tuple[str, str], Candidate] = {}
    identities: dict[str, dict[str, Any]] = {}
    without = 0
    for folder in runs:
        _, records = _run_and_records(folder)
        for record in sorted(records, key=lambda record: (record.benchmark, record.sample_index)):
            if record.prompt is None or not _is_asked(record.model, names):
                continue
            file = None if record.clip is None or record.clip.preview is None else folder / record.clip.preview
            if file is None or not files.is_file(file):
                without += 1
                continue
            identities.setdefault(record.model, {name: getattr(record, name) for name in _IDENTITY})
            text = record.prompt_text or ""
            candidate = Candidate(model=record.model, prompt=record.prompt, text=text, file=file)
            clips.setdefault((record.model, record.prompt), candidate)
    return list(clips.values()), identities, without


def _is_asked(model: str, names: str | None) -> bool:
    from pytest_vdb.analysis.readings import is_yardstick

    if names is None:
        return not is_yardstick(model)
    return any(fnmatch(model, part.strip()) for part in names.split(","))


def _run_and_records(run: Path) -> tuple[Run, list[Record]]:
    from pytest_vdb.results import journal

    told, records, warnings = journal.read(run)
    for warning in warnings:
        warn(warning)
    return told, records


def _votes_of(paths: Iterable[Path], arena: Path | None) -> list[Vote]:
    """All votes of files; what was none is told. On a page of ours a rater is asked each pair once: what was both sent
    and saved is one vote."""
    from pytest_vdb.analysis.votes import read_votes
    from pytest_vdb.arena import folder

    key: Mapping[str, Shown] | None = None if arena is None else folder.read(arena).shown
    votes: list[Vote] = []
    for path in paths:
        poll = read_votes(path, key)
        votes += poll.votes
        for reason, n in poll.left_out.items():
            warn(f"{path}: {n} rows are left out: {reason}")
    if key is None:
        return votes
    once = {(vote.rater, frozenset((vote.left, vote.right))): vote for vote in reversed(votes)}
    return list(reversed(once.values()))


def _check_raters(names: Sequence[str], votes: Sequence[Vote]) -> None:
    known = {vote.rater for vote in votes}
    for name in names:
        if name not in known:
            raise UnknownName("rater", name, sorted(known), where="--without")


def _print_preferences(found: Preferences) -> None:
    print_table(
        ("model", "elo", "95%", "votes", "won", "tied", ""),
        (
            (
                one.model,
                None if one.elo is None else f"{one.elo:.0f}",
                None if one.interval is None else f"{one.interval[0]:.0f} to {one.interval[1]:.0f}",
                one.votes,
                one.won,
                one.tied,
                one.reason or "",
            )
            for one in found.models
        ),
    )
    alpha = MISSING if found.alpha is None else f"{found.alpha:.2f}"
    counting = sum(rater.votes > 0 and not rater.is_left_out for rater in found.raters)
    show(f"{found.votes} votes of {counting} raters count; Krippendorff's alpha {alpha}")
    remarked = [rater for rater in found.raters if rater.remark is not None]
    for rater in remarked:
        show(f"  {rater.name}: {rater.remark} ({rater.votes} votes)")
    if found.metrics:
        show()
        print_table(
            ("metric", "agrees with", "95%", "votes"),
            (
                (
                    one.metric,
                    f"{one.agreeing:.0%}",
                    None if one.interval is None else f"{one.interval[0]:.0%} to {one.interval[1]:.0%}",
                    one.votes,
                )
                for one in found.metrics
            ),
        )


def _write_records(path: Path, found: Preferences, arguments: CountArguments) -> None:
    """A record per model, which `vdb report` puts beside what was measured."""
    from pytest_vdb.analysis.preference import records_of
    from pytest_vdb.arena import folder
    from pytest_vdb.records import to_json

    if arguments.arena is None:
        records = records_of(found, "votes", {})
    else:
        arena = folder.read(arguments.arena)
        records = records_of(found, f"arena-{arena.id}", arena.models, where=arguments.arena / folder.KEY)
    lines = [to_json(record) for record in records]
    files.write(path, "\n".join(lines) + "\n")
    warn(f"records: {path}")
