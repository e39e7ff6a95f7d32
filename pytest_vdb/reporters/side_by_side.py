"""The clips of a prompt beside each other: a page for each prompt of which two models have clips, and a list of them.

The pages lie beside the leaderboard and hold no clip, only the ways to those of the runs. What is chosen stands in the
address: `prompts/p003.html#compare=a,b&view=wipe&speed=0.5`. The list takes a prompt's id there as well and leads to
its page, so that `leaderboard.html#compare=a,b&prompt=p003` need not know what pages are called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any
from urllib.parse import quote

from pytest_vdb.analysis.tables import Leaderboard, Row
from pytest_vdb.escaping import file_names, shortened, visible
from pytest_vdb.garbage import without_collections
from pytest_vdb.records import ClipFiles, Record
from pytest_vdb.reporters.drawing import escaped
from pytest_vdb.reporters.pages import (
    BESIDE,
    LEADERBOARD,
    MOST_TEXT,
    UP,
    Files,
    markup,
    page_of_template,
    policy,
    source_of_template,
)
from pytest_vdb.reporters.text import LONGEST_NAME, counted, distinct_names

PROMPTS = f"{BESIDE}/prompts"
"""The folder of the pages."""
INDEX = f"{PROMPTS}/index.html"
"""The list of them."""
_STYLES = ("leaderboard.css", "prompt.css")

_TEXT_IN_LIST = 200
"""Characters of a prompt in the list."""

_Prompt = tuple[str, str]
"""Id and text: two suites may give one id to two texts."""
_Timing = tuple[float, int]
"""Frames per second, and how many there are."""
_Clip = tuple[str, str, ClipFiles]
"""Its name, which is its model's, of further samples with their number; its URL; and what is known of it. Plain tuples:
of 300,000 clips objects would take as long as all the rest."""


@dataclass(frozen=True, slots=True)
class ComparedPrompt:
    """A prompt of which two models have clips."""

    id: str
    text: str
    category: str
    clips: Sequence[_Clip]

    @property
    def name(self) -> str:
        """As it is shown."""
        return visible(shortened(self.id, LONGEST_NAME))


@dataclass(frozen=True)
class SideBySide:
    """The pages of a leaderboard: which there are, and the text of each when it is asked for.

    Args:
        board: whose clips are shown.
        files: what lies in the folders of runs, as seen from `PROMPTS`.
    """

    board: Leaderboard
    files: Files

    @cached_property
    def lines(self) -> tuple[tuple[str, Row], ...]:
        """Every line of the standings, by a name that no other has."""
        return tuple(_named_lines(self.board))

    @cached_property
    def prompts(self) -> tuple[ComparedPrompt, ...]:
        """In the order of their ids; none where nobody can look whether a clip is there."""
        if self.files.root is None:
            return ()
        with without_collections():  # of 300,000 clips nothing is garbage
            return tuple(_compared_prompts(self.lines, self.files))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the prompts' pages are called in `PROMPTS`."""
        _, *names = file_names(["index", *(prompt.id for prompt in self.prompts)])
        return tuple(f"{name}.html" for name in names)

    @cached_property
    def paths(self) -> dict[str, int]:
        """Of every page, from the leaderboard's folder -> the place of its prompt; the list of prompts stands last.

        None where no prompt has clips of two models.
        """
        found = {f"{PROMPTS}/{name}": at for at, name in enumerate(self.names)}
        return found | {INDEX: len(found)} if found else {}

    @cached_property
    def _of_prompts(self) -> dict[_Prompt, str]:
        return {(one.id, one.text): path for one, path in zip(self.prompts, self.paths, strict=False)}

    @cached_property
    def are_there(self) -> bool:
        """Whether there is any page: told as soon as one is found, for a page that is made again every few seconds."""
        if self.files.root is None or "prompts" in vars(self):  # which are known already
            return bool(self.prompts)
        seen: dict[_Prompt, str] = {}
        every = ((name, record) for name, row in self.lines for record in row.records)
        return any(
            seen.setdefault((record.prompt, record.prompt_text or ""), name) != name
            for name, record in every
            if record.prompt is not None
            and record.clip is not None
            and self.files.link(record.run, record.clip.preview) is not None
        )

    def link_of(self, row: Row, record: Record) -> str | None:
        """The way from a page beside the leaderboard to that of a record's prompt, on which its model is chosen.

        Args:
            row: of the model, one of the standings'.
            record: of the row. None comes back where its prompt has no page, or it no clip.
        """
        page = self._of_prompts.get((record.prompt or "", record.prompt_text or ""))
        name = next((name for name, one in self.lines if one is row), None)
        if page is None or name is None or record.clip is None:
            return None
        return f"{UP}{quote(page)}#compare={quote(name, safe='')}"

    def page(self, path: str) -> str:
        """The text of one of `paths`."""
        return self._list() if path == INDEX else self._page_of_prompt(self.paths[path])

    def _page_of_prompt(self, at: int) -> str:
        prompt = self.prompts[at]
        shared = _most_frequent((files.fps, files.frames) for _, _, files in prompt.clips)
        return page_of_template("prompt.html.j2").render(
            **_dressed("prompt.js"),
            leaderboard=f"{UP}{LEADERBOARD}",
            index="index.html",
            name=prompt.name,
            text=visible(shortened(prompt.text, MOST_TEXT)),
            category=visible(shortened(prompt.category, LONGEST_NAME)),
            place=f"{at + 1:,}",
            of=f"{len(self.prompts):,}",
            before=self._neighbour(at - 1),
            after=self._neighbour(at + 1),
            shared=markup(_timing_in_html(*shared)),
            clips=markup("\n".join(_items(prompt.clips, shared))),
        )

    def _neighbour(self, at: int) -> dict[str, str] | None:
        if not 0 <= at < len(self.prompts):
            return None
        return {"name": self.prompts[at].name, "file": quote(self.names[at])}

    def _list(self) -> str:
        return page_of_template("prompts.html.j2").render(
            **_dressed("prompts.js"),
            leaderboard=f"{UP}{LEADERBOARD}",
            summary=f"{counted(len(self.prompts), 'prompt')} of which at least two models have clips.",
            prompts=[
                {
                    "id": visible(prompt.id),
                    "name": prompt.name,
                    "file": quote(file),
                    "clips": counted(len(prompt.clips), "clip"),
                    "category": visible(shortened(prompt.category, LONGEST_NAME)),
                    "text": visible(shortened(prompt.text, _TEXT_IN_LIST)),
                }
                for prompt, file in zip(self.prompts, self.names, strict=True)
            ],
        )


def _compared_prompts(lines: Iterable[tuple[str, Row]], files: Files) -> Iterator[ComparedPrompt]:
    """In the order of their ids, those of which two lines of the standings have clips that are there."""
    found: dict[_Prompt, list[_Clip]] = {}
    categories: dict[_Prompt, str] = {}
    link = files.link
    for name, row in lines:
        for record in row.records:
            clip = record.clip
            if clip is None or record.prompt is None or (url := link(record.run, clip.preview)) is None:
                continue
            prompt = record.prompt, record.prompt_text or ""
            clips = found.get(prompt)
            if clips is None:
                clips, categories[prompt] = found.setdefault(prompt, []), record.category or ""
            clips.append((name, url, clip))
    for prompt, clips in sorted(found.items(), key=lambda one: one[0]):
        if clips[0][0] != clips[-1][0]:  # those of one model stand together
            yield ComparedPrompt(prompt[0], prompt[1], categories[prompt], tuple(_clips_numbered(clips)))


def _clips_numbered(clips: Iterable[_Clip]) -> Iterator[_Clip]:
    """Further samples of a model with their numbers; a clip that two benchmarks asked for stands there once."""
    last, seen = None, set[str]()
    for name, url, files in clips:
        if name != last:
            last, seen = name, {files.digest}
            yield name, url, files
        elif files.digest not in seen:
            seen.add(files.digest)
            yield f"{name}, clip {len(seen)}", url, files


def _named_lines(board: Leaderboard) -> Iterator[tuple[str, Row]]:
    taken: Counter[str] = Counter()
    for standings in board.standings:
        names = distinct_names(standings.table)
        for at, line in enumerate(standings.lines):
            name = visible(shortened(names[at], LONGEST_NAME))
            taken[name] += 1
            yield (name if taken[name] == 1 else f"{name} ({taken[name]})"), line.row


def _items(clips: Sequence[_Clip], shared: _Timing) -> Iterator[str]:
    """A link for each clip, which is all that a reader without script needs; the script takes the list up."""
    for name, url, files in clips:
        timing = files.fps, files.frames
        own = "" if timing == shared else _timing_in_html(*timing)
        yield f'<li{own}><a href="{url}">{_escaped_once(name)}</a></li>'


_escaped_once = lru_cache(maxsize=2**16)(escaped)
"""A model's name stands on every page."""


def _timing_in_html(fps: float, frames: int) -> str:
    """Of a clip, or of most of a page's: by which the script goes from frame to frame."""
    return f' data-fps="{fps:.9g}" data-frames="{frames}"'


def _most_frequent(timings: Iterable[_Timing]) -> _Timing:
    return Counter(timings).most_common(1)[0][0]


@cache
def _dressed(script: str) -> dict[str, Any]:
    """What all pages with this script share."""
    style, source = "".join(map(source_of_template, _STYLES)), source_of_template(script)
    return {"policy": policy(style, source), "style": markup(style), "script": markup(source)}
