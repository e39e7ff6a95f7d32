"""The folder of an arena: `page/`, which everybody may see, and the key beside it, which says what is what.

Clips are copied under names that tell nothing, so that whoever votes cannot know a model by its file.
"""

from __future__ import annotations

import dataclasses
import json
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vdb import files, video
from pytest_vdb.analysis.votes import CHOICES, Shown
from pytest_vdb.arena.pairing import Candidate, Pair
from pytest_vdb.bench.previews import CLIPS
from pytest_vdb.degradations import degraded
from pytest_vdb.errors import OutputError, RecordError
from pytest_vdb.escaping import shortened
from pytest_vdb.reporters.pages import MOST_TEXT, page_of_template, policy, source_of_template

PAGE, KEY, VOTES = "page", "key.json", "votes.jsonl"

SUFFIX = ".mp4"
_SPOILED_BY, _SPOILED_SEVERITY = "noise", 5
"""What a check's worse clip went through: nobody who looks prefers it."""
_MEND_KEY = "give the folder that vdb arena build wrote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arena:
    """What the key says."""

    id: str
    shown: Mapping[str, Shown]
    """Token -> what it stands for."""
    pairs: tuple[tuple[str, str], ...]
    models: Mapping[str, Mapping[str, Any]]
    """Model -> what tells its row of a leaderboard from others: its recipe, its weights."""

    @property
    def checks(self) -> frozenset[int]:
        """Places of the pairs whose answer is known."""
        return frozenset(at for at, pair in enumerate(self.pairs) if any(self.shown[one].is_degraded for one in pair))


def build(
    folder: Path,
    pairs: Sequence[Pair],
    *,
    checks: int,
    per_rater: int | None,
    models: Mapping[str, Mapping[str, Any]],
    seed: int,
) -> Arena:
    """Write an arena.

    Args:
        folder: that is made; it must not hold an arena already.
        pairs: to be shown.
        checks: clips that are shown beside themselves made worse.
        per_rater: how many pairs each rater is asked; None: all.
        models: as `Arena.models`.
        seed: of which clips are spoiled, and of the order.

    Raises:
        OutputError: there is one already, or it cannot be written.
        ClipFileError: a clip cannot be read.
    """
    if files.is_there(folder / KEY):
        mend = "votes of two arenas are not mixed: name another folder"
        raise OutputError("there is an arena already", where=folder, mend=mend)
    shown: dict[str, Shown] = {}
    tokens: dict[Candidate, str] = {}
    for clip in dict.fromkeys(clip for pair in pairs for clip in pair):
        tokens[clip] = _copied_blindly(folder, clip, shown)
    asked = [(tokens[first], tokens[second]) for first, second in pairs]
    texts = {tokens[clip]: clip.text for clip in tokens}
    drawn = random.Random(seed)
    for clip in drawn.sample(list(tokens), min(checks, len(tokens))):
        spoiled = _spoiled(folder, clip, shown)
        texts[spoiled] = clip.text
        asked.append((tokens[clip], spoiled))
    drawn.shuffle(asked)
    arena = Arena(id=secrets.token_hex(6), shown=shown, pairs=tuple(asked), models=dict(models))
    files.write(folder / PAGE / "index.html", _page(arena, texts, per_rater))
    files.write(folder / KEY, json.dumps(dataclasses.asdict(arena), indent=1, default=str) + "\n")
    return arena


def read(folder: Path) -> Arena:
    """The key of an arena.

    Raises:
        RecordError: there is none, or it is damaged.
    """
    path = folder / KEY
    told = files.read_json(path, error=RecordError, mend=_MEND_KEY)
    try:
        return Arena(
            id=str(told["id"]),
            shown={str(token): Shown(**one) for token, one in told["shown"].items()},
            pairs=tuple((str(first), str(second)) for first, second in told["pairs"]),
            models={str(model): dict(one) for model, one in told["models"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise RecordError(f"no key of an arena: {problem!r}", where=path, mend=_MEND_KEY) from None


def _copied_blindly(folder: Path, clip: Candidate, shown: dict[str, Shown]) -> str:
    token = secrets.token_hex(8)
    shown[token] = Shown(model=clip.model, prompt=clip.prompt)
    files.write(folder / PAGE / CLIPS / f"{token}{SUFFIX}", files.read_bytes(clip.file, error=RecordError))
    return token


def _spoiled(folder: Path, clip: Candidate, shown: dict[str, Shown]) -> str:
    token = secrets.token_hex(8)
    shown[token] = Shown(model=clip.model, prompt=clip.prompt, is_degraded=True)
    worse = degraded(video.read(clip.file), _SPOILED_BY, _SPOILED_SEVERITY)
    video.write_preview(worse, folder / PAGE / CLIPS / f"{token}{SUFFIX}")
    return token


def _page(arena: Arena, texts: Mapping[str, str], per_rater: int | None) -> str:
    from markupsafe import Markup

    style = source_of_template("leaderboard.css") + source_of_template("arena.css")
    script = source_of_template("arena.js")
    plan = {
        "arena": arena.id,
        "pairs": [{"of": pair, "text": shortened(texts[pair[0]], MOST_TEXT)} for pair in arena.pairs],
        "asked": min(per_rater or len(arena.pairs), len(arena.pairs)),
        "choices": CHOICES,
        "clips": CLIPS,
        "suffix": SUFFIX,
    }
    return page_of_template("arena.html.j2").render(
        policy=policy(style, script, connect=True),
        style=Markup(style),
        script=Markup(script),
        plan=json.dumps(plan),
    )
