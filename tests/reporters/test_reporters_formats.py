"""Every report shows everything, hides no failure, ranks nothing meaningless, and obeys no name."""

from __future__ import annotations

import csv as stdlib_csv
import dataclasses
import io
import json as stdlib_json
import posixpath
import random
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import example_run as example
import pytest

from pytest_vdb import reporters
from pytest_vdb.analysis import Leaderboard, build, ratings
from pytest_vdb.analysis.gate import Outcome, judge
from pytest_vdb.analysis.rules import parse_rules
from pytest_vdb.errors import OutputError, UnknownName
from pytest_vdb.escaping import visible
from pytest_vdb.records import Baseline, Failure, Measurement, Record, to_json
from pytest_vdb.reporters import formats, gate, pages, terminal, tex
from pytest_vdb.reporters.formats import csv, html, json, latex, markdown
from pytest_vdb.reporters.prompts_table import tables_of_prompts

HOSTILE = [
    "../../x",
    "<script>alert(1)</script>",
    "a_b%$&#{}~^\\",
    '"><img src=x onerror=alert(1)>',
    '=HYPERLINK("http://x")',
    "\x1b[31mred\x1b[0m",
    "a | b `c` **d** [e](http://f) @team",
    "\\input{/etc/passwd}",
    "{{ 7*7 }} <% raw %> << run >>",
    "\u202eevil\u202c",
    "[x]--y 'z' \"w\"",
    "é ß 模型 🎬",
    "line one\nline two",
    "::error file=x::y",
    "مودل שלום",
    "e" + "\u0301" * 40,
    "\uff1d1+1",
    "\u2066x\u2069\U000e0041\u00ad",
    "<b>x</b> & &lt;b&gt; <!--",
    "www.x.com mail@x.com #1 GH-1 :tada:",
    "x" * 10_000,
    "constructor",
]


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    run = example.example_run()
    return build(run, example.example_records(run))


@pytest.fixture(scope="module")
def empty() -> Leaderboard:
    return build(example.example_run(), [])


def hostile_board(name: str) -> Leaderboard:
    """A board on which every text that comes from outside is `name`."""
    run = dataclasses.replace(example.example_run(), id=name, options={name: name}, suites={name: name})
    run = dataclasses.replace(
        run, environment=dataclasses.replace(run.environment, hardware=name, packages={name: name})
    )
    measurements = (
        Measurement(name=name, value=1.0, unit=name, better="higher", version=name, series=(1.0, 2.0)),
        Measurement(name="other", value=None, unit="1", better="lower", reason=name),
    )
    more: dict[str, Any] = {"nodeid": name, "benchmark": name, "prompt_text": name, "category": name}
    more |= {"measurements": measurements, "notes": (name,), "revision": name, "reused_from": name, "hardware": name}
    more |= {"recipe": {"dtype": name, "frames": 9}, "recipe_digest": name}
    answered = example.answer(run, name, name, **more)
    assert answered.clip is not None
    answered = dataclasses.replace(answered, clip=dataclasses.replace(answered.clip, preview=name, poster=name))
    failure = Failure(type=name, message=name, traceback=name)
    failed = dataclasses.replace(answered, nodeid=f"{name}2", status="failed", failure=failure, prompt="p2", clip=None)
    rival = dataclasses.replace(answered, nodeid=f"{name}3", model=f"{name}2", weights="hub")
    return build(run, [answered, failed, rival])


# numbers and names


@pytest.mark.parametrize("values", [(2e-6, 8e-6), (0.99996, 0.9996, 0.99951), (34.1234568, 34.1234567)])
def test_what_is_ranked_apart_is_printed_apart_wherever_figures_are_shown(values):
    made = [_record(value, model) for value, model in zip(values, ("one", "two", "three"), strict=False)]
    board = build(example.example_run(), made)
    assert {row.model: row.cells[0].rank for row in board.rows} == {r.model: i for i, r in enumerate(made, start=1)}
    texts = (terminal.render(board, width=200), markdown.render(board), latex.render(board))
    for text in (*texts, *_rows_of(html.render(board))):
        lines = [line for line in text.splitlines() if re.search(r"^\W*(one|two|three)\W", line)]
        shown = [float(re.findall(r"\d+\.\d+(?:e-?\d+)?", line.replace("$-$", "-"))[-1]) for line in lines]
        assert len(shown) in {len(values), 2 * len(values)}  # in the standings, and in the benchmark's table
        assert shown == [pytest.approx(value, rel=1e-4) for value in values] * (len(shown) // len(values))
        assert len(set(shown)) == len(values)


def _record(value: float, model: str) -> Record:
    measurement = Measurement(name="m", value=value, unit="1", better="lower" if value < 1e-3 else "higher")
    return example.answer(example.example_run(), model, "p", measurements=(measurement,), weights="hub")


def _rows_of(page: str) -> list[str]:
    """What each of the page's tables says, a line a row."""
    tables = [re.findall(r"<tr(?: [^>]*)?>(.*?)</tr>", table, re.DOTALL)[1:] for table in page.split("<table ")[1:]]
    assert len(tables) == 2  # the standings, and the benchmark
    return ["\n".join(" ".join(re.sub(r"<[^>]+>", " ", body).split()) for body in bodies) for bodies in tables]


def test_control_and_bidirectional_characters_are_shown_and_not_obeyed():
    assert visible("\x1b[31m") == "\\x1b[31m"
    assert visible("a\u202eb") == "a\\u202eb"
    assert visible("a\nb") == "a b"
    assert visible("é 模型 🎬") == "é 模型 🎬"


# terminal


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_terminal_table_fits_and_shows_every_model_with_what_is_most_telling(board, width):
    text = terminal.render(board, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert all(row.model in text for row in board.rows)
    assert text.count("─\n") == len(board.standings)  # one block each, never several
    head = text[: text.index("───")]
    assert all(word in head for word in ("sharpness", "latency"))


def test_the_terminal_counts_the_columns_that_it_has_no_room_for(board):
    def shown(width: int) -> tuple[int, int]:
        text = terminal.render(board, width=width)
        more = re.search(r"… (\d+) more metrics?: see the HTML report", text)
        arrows = next(line for line in text.splitlines() if line.startswith("model"))
        return len(re.findall("[↑↓]", arrows)), int(more[1]) if more else 0

    (narrow, left_out), (wide, none) = shown(70), shown(400)
    assert none == 0
    assert narrow + left_out == wide > narrow > 2


def test_the_terminal_says_in_words_what_tiny_weights_are_and_why_values_are_missing(board):
    text = " ".join(terminal.render(board, width=100).split())
    assert "3 rows with tiny random weights" in text
    assert "never ranked" in text
    assert "18 tests, clip_similarity: the weights of ViT-B-32 are not here" in text
    assert "1 test, every column: failed: BadClip" in text
    assert "35 passed, 1 failed, 6 skipped" in text
    assert "1 clip reused from the cache" in text


def test_only_trained_rows_bear_marks_in_the_terminal(board):
    for line in terminal.render(board, width=120).splitlines():
        if line.startswith(example.TINY):
            assert "*" not in line
            assert "~" not in line
            assert "(" in line


def test_a_model_name_cannot_move_the_cursor(board):
    text = terminal.render(hostile_board("\x1b[2J\x07"), width=100)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


# comma-separated


def test_the_csv_has_one_row_per_model_with_unrounded_figures(board):
    rows = list(stdlib_csv.DictReader(io.StringIO(csv.render(board))))
    assert [row["model"] for row in rows] == [row.model for row in board.rows]
    failed = next(row for row in rows if row["model"] == "cogvideox-2b")
    assert (failed["tests"], failed["passed"], failed["failed"]) == ("6", "5", "1")
    assert float(failed["sharpness"]) == next(row for row in board.rows if row.model == "cogvideox-2b").cells[1].mean
    assert failed["sharpness_missing"] == "1"
    assert "constant colour" in failed["sharpness_why_missing"]
    skipped = next(row for row in rows if row["model"] == "hunyuanvideo")
    assert skipped["sharpness"] == ""


def test_the_tidy_csv_has_a_row_per_value_with_what_the_wide_one_has_in_columns(board):
    wide = {(row["benchmark"], row["model"]): row for row in stdlib_csv.DictReader(io.StringIO(csv.render(board)))}
    tidy = list(stdlib_csv.DictReader(io.StringIO(csv.render_tidy(board))))
    assert len(tidy) == sum(len(table.rows) * len(table.columns) for table in board.tables)
    for row in tidy:
        beside, metric = wide[row["benchmark"], row["model"]], row["metric"]
        assert row["mean"] == beside[metric]
        for name in ("low", "high", "n", "missing", "rank", "why_missing", "remarks"):
            assert row[name] == beside[f"{metric}_{name}"]
        assert row["unit"] == {"latency": "s", "throughput": "frames/s", "peak_rss": "MiB"}.get(metric, "1")


def test_a_file_of_csv_opens_in_excel_with_its_names(board, tmp_path):
    """Excel takes a file without the mark for one in the machine's own code page; lines end as RFC 4180 says."""
    board = hostile_board("模型")
    path, of_standings, _ = reporters.write_all(board, tmp_path, ["csv"])
    assert of_standings.read_bytes().startswith(b"\xef\xbb\xbftask,trained,model,")
    content = path.read_bytes()
    assert content.startswith(b"\xef\xbb\xbfbenchmark,model,")
    assert content.count(b"\r\n") == content.count(b"\n") == 1 + len(board.rows)
    rows = list(stdlib_csv.DictReader(path.open(encoding="utf-8-sig", newline="")))
    assert {row["benchmark"] for row in rows} == {"模型"}
    assert not csv.render(board).startswith(csv.BYTE_ORDER_MARK)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_our_own_readers_read_such_a_file(tmp_path, ending, mark):
    path = tmp_path / "results.csv"
    lines = ["model,prompt,sharpness,rating", "模型,p1,0.5,3", "模型,p2,0.25,2", ""]
    path.write_bytes((mark + ending.join(lines)).encode())
    expected = {("模型", "p1"): 0.5, ("模型", "p2"): 0.25}
    assert ratings.read_scores(path, "sharpness").by_id == expected
    assert ratings.read_ratings(path).by_id == {("模型", "p1"): 3.0, ("模型", "p2"): 2.0}


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "%0A=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20x"]
)
def test_no_name_is_a_formula_to_a_spreadsheet(name):
    board = hostile_board(name)
    for row in stdlib_csv.reader(io.StringIO(csv.render(board))):
        assert not [
            field
            for field in row
            if field.lstrip()[:1] in set("=+@%\t\uff1d\uff0b\uff0d\uff20") or field.startswith("-1")
        ]


def test_the_standings_have_a_file_of_their_own_with_a_row_per_model_and_its_ranks():
    answers = [_record(value, model) for model, value in (("one", 0.2), ("two", 0.4))]
    every = [dataclasses.replace(a, prompt=f"p{n}", nodeid=f"{a.nodeid}{n}") for a in answers for n in range(6)]
    timed = [dataclasses.replace(a, benchmark="test_more", nodeid=f"more-{a.nodeid}") for a in answers]
    board = build(example.example_run(), [*every, *timed])
    one, two = stdlib_csv.DictReader(io.StringIO(csv.render_standings(board)))
    assert (one["model"], two["model"]) == ("two", "one")
    assert (one["ranked_by"], one["rank"], one["rank_at_most"]) == ("m (test_generation)", "1", "1")
    assert (two["rank"], two["m (test_generation)_rank"], two["m (test_generation)_of"]) == ("2", "2", "2")
    assert [float(one[f"m ({name})"]) for name in ("test_more", "test_generation")] == pytest.approx([0.4, 0.4])
    assert (one["tests"], one["passed"]) == ("7", "7")
    assert len(list(stdlib_csv.reader(io.StringIO(csv.render(board))))) == 1 + 4  # those of the benchmarks, as ever


def test_the_json_has_standings_and_tables_and_null_where_nothing_was_measured(board):
    told = stdlib_json.loads(json.render(board))
    assert told["schema"] == 1
    assert [len(one["lines"]) for one in told["standings"]] == [4, 3]
    for part in (*told["standings"], *told["tables"]):
        for row in part.get("lines", part.get("rows")):
            assert len(row["values"]) == len(part["columns"])
    (table,) = told["tables"]
    similarity = [column["name"] for column in table["columns"]].index("clip_similarity")
    of_calibration = next(row for row in table["rows"] if row["model"] == "calibration-shapes")["values"][similarity]
    assert of_calibration["mean"] is None
    assert list(of_calibration["missing"]) == ["the weights of ViT-B-32 are not here; get them with: vdb fetch clip"]


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_is_a_string_in_the_json_and_none_is_obeyed(name):
    text = json.render(hostile_board(name))
    assert {row["model"] for row in stdlib_json.loads(text)["tables"][0]["rows"]} == {name, f"{name}2"}
    assert visible(text.strip()) == text.strip()


# Markdown


def test_the_markdown_has_one_line_per_model_and_marks_only_trained_ones(board):
    lines = {line.split("`")[1]: line for line in markdown.render(board).splitlines() if line.startswith("| `")}
    assert sorted(lines) == sorted(row.model for row in board.rows)
    assert "**0.0" in lines["calibration-blurred"]
    assert all("**" not in lines[name] and "tiny random weights" in lines[name] for name in example.TINY)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup_in_markdown(name):
    text = markdown.render(hostile_board(name))
    tables = [part.splitlines() for part in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]
    assert len(tables) >= 2  # the standings, and the benchmark
    for rows in tables:
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    outside_code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text.replace("<ins>", "").replace("</ins>", ""))
    assert not re.search(r"<[a-z/]|(?<!\\)\]\(|://|@\w|\x1b|\u202e", outside_code)


# LaTeX


def test_latex_marks_the_best_the_second_and_the_unranked(board):
    text = latex.render(board)
    assert r"\vdbbest{" in text.split(r"\midrule")[1]
    assert r"\underline{" in text.split(r"\midrule")[1]
    tiny = [line for line in text.splitlines() if line.strip().startswith("wan2.1")]
    assert r"\vdbunranked{" in tiny[0]
    assert r"\vdbbest" not in tiny[0]
    assert r"$\downarrow$" in text


def test_latex_decimals_align_because_a_column_has_as_many_everywhere(board):
    of_benchmark = latex.render(board).rpartition(r"\begin{table}")[2]
    rows = [line.split(" & ")[2:] for line in of_benchmark.splitlines() if "& 6/6 &" in line]
    for column in zip(*rows, strict=True):
        figures = [match[0] for cell in column if (match := re.search(r"[\d{},]*\d(\.\d+)?", cell))]
        assert len({len(text.partition(".")[2]) for text in figures}) == 1


def test_latex_has_no_command_that_a_name_brought():
    assert r"\input{" not in latex.render(hostile_board("\\input{/etc/passwd}"))
    assert tex.escape("a_b%$&#{}~^\\") == (r"a\_b\%\$\&\#\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}")
    assert tex.escape("模") == r"\texttt{U+6A21}"


@pytest.fixture(scope="session")
def pdflatex() -> str:
    found = shutil.which("pdflatex")
    if found is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-recommended)")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("place", ["alone", "in a paper"])
def test_latex_compiles_with_every_hostile_name(board, empty, pdflatex, tmp_path, place):
    parts = [latex.render(one) for one in (board, empty, *(hostile_board(name) for name in HOSTILE))]
    for index, part in enumerate(parts):
        (tmp_path / f"part{index}.tex").write_text(part, encoding="utf-8")
    everything = r"\documentclass{article}\usepackage{booktabs,xcolor,textcomp}\begin{document}"
    everything += "".join(rf"\input{{part{index}.tex}}\clearpage" for index in range(len(parts))) + r"\end{document}"
    (tmp_path / "paper.tex").write_text(everything, encoding="utf-8")
    for source in ["paper.tex"] if place == "in a paper" else ["part0.tex", "part1.tex", "part4.tex", "part13.tex"]:
        done = subprocess.run(
            [pdflatex, "-interaction=nonstopmode", "-halt-on-error", source],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-1500:]
        assert (tmp_path / source).with_suffix(".pdf").stat().st_size > 1_000


# the page


class Page(HTMLParser):
    """What a browser would see: elements with their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.raw: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside in {"script", "style"}:
            self.raw[self._inside] = self.raw.get(self._inside, "") + data
        else:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_the_page_shows_every_model_failure_and_reason(board):
    page = Page(html.render(board))
    assert "every pixel is (0, 0, 0): one constant colour" in Page(example.pages_of_models(board)).text
    for row in board.rows:
        assert row.model in page.text
    assert "35 passed" in page.text
    assert "1 failed" in page.text
    assert "every pixel is (0, 0, 0): one constant colour" in page.text
    assert "missing: the weights of ViT-B-32 are not here" in page.text
    assert "3 rows with tiny random weights" in page.text
    assert "not ranked" in page.text
    assert board.run.environment.cpu in page.text
    assert board.run.environment.packages["torch"] in page.text


def test_the_page_groups_columns_by_what_they_are_about_and_leaves_those_without_values_to_the_menu():
    made = (
        Measurement(name="never", value=None, unit="1", better="higher", reason="no weights"),
        Measurement(name="m", value=1.0, unit="1", better="higher"),
        Measurement(name="latency", value=1.0, unit="s", better="lower", kind="performance"),
    )
    run = example.example_run()
    text = html.render(build(run, [example.answer(run, "wan", "p", measurements=made)]))
    page = Page(text.partition("Benchmark by benchmark")[2])
    boxes = [box for box in page.all("input") if "data-column" in box]
    assert [box["data-kind"] for box in boxes] == ["quality", "quality", "performance"]
    assert ["data-empty" in box for box in boxes] == [True, False, False]
    kinds = [button["data-kind"] for button in page.all("button") if "data-kind" in button]
    assert kinds == ["", "quality", "performance"]


def test_the_page_asks_nothing_of_anyone(board):
    page = Page(html.render(board))
    assert not page.all("link")
    assert not page.all("iframe")
    for _, attributes in page.elements:
        for name in ("src", "href", "poster", "action", "srcset", "data"):
            assert not re.match(r"(?i)[a-z]+:|//", attributes.get(name) or "") or (attributes[name] or "").startswith(
                "data:image/jpeg"
            )
    assert not re.search(r"url\(|@import", page.raw["style"])


def test_the_policy_allows_exactly_the_pages_own_style_and_script(board):
    page = Page(html.render(board))
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == pages.policy(page.raw["style"], page.raw["script"])
    assert "unsafe" not in policy
    assert len(page.all("script")) == len(page.all("style")) == 1
    assert not [
        1 for _, attributes in page.elements if "style" in attributes or any(a.startswith("on") for a in attributes)
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup_on_a_page(name):
    made, plain = (html.Pages(hostile_board(one)) for one in (name, "plain"))
    assert len(made) == len(plain) == 3  # two models, and the leaderboard
    for path, of_plain in zip(made, plain, strict=True):
        page = Page(made[path])
        assert len(page.all("script")) == 1
        assert _without_links(page) == _without_links(Page(plain[of_plain]))
        assert " ".join(visible(name).split()) in page.text
        for attributes in page.all("a") + page.all("video") + page.all("img"):
            for link in (attributes.get("href"), attributes.get("src"), attributes.get("poster")):
                assert link is None or _leads_to_ours(link, path)


def _leads_to_ours(link: str, page: str) -> bool:
    if link.startswith("#"):
        return True
    place = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    return ":" not in link and re.fullmatch(r"leaderboard\.html|(runs|leaderboard-files)/[^.].*", place) is not None


def _without_links(page: Page) -> list[str]:
    """Its elements but for those that are left out where a name makes no safe link."""
    return [tag for tag, _ in page.elements if tag not in {"a", "video", "img", "div", "button"}]


@pytest.mark.slow
def test_a_models_page_links_to_its_run_and_to_clips_that_are_there(tmp_path):
    run = example.example_run()
    folder = tmp_path / "runs" / run.id
    records = example.example_records(run, folder=folder)
    (folder / "run.json").write_text(to_json(run))
    (folder / "clips" / "wan2.1-t2v-1.3b-style-01.mp4").unlink()
    page = Page(example.pages_of_models(build(run, records), root=tmp_path))
    up = "../../"
    links = {str(link["href"]).partition("#")[0] for link in page.all("a")}
    assert links == {  # there is no records.jsonl in the folder
        f"{up}leaderboard.html",
        f"{up}runs/{run.id}/run.json",
        *(f"{up}leaderboard-files/prompts/{prompt}.html" for prompt in example.PROMPTS),
    }
    videos = page.all("video")
    assert len(videos) == 34
    for video in videos:
        assert all((tmp_path / str(video[name]).removeprefix(up)).is_file() for name in ("src", "poster"))
    assert all(video["preload"] == "none" for video in videos)


def test_each_line_and_row_leads_to_the_page_of_its_model(board):
    made = html.Pages(board)
    links = [str(link["href"]) for link in Page(made["leaderboard.html"]).all("a")]
    assert set(links) == set(made) - {"leaderboard.html"}
    assert len(links) == 2 * len(board.rows)  # in the standings, and in the benchmark's table
    for standings in board.standings:
        for line in standings.lines:
            text = made[f"leaderboard-files/models/{line.row.model}.html"]
            assert f"<h1>{line.row.model}</h1>" in text


def test_models_that_no_file_can_be_called_by_have_pages_of_their_own():
    run = example.example_run()
    names = ["../../up", "a/b", "a:b", "con", "x" * 300, "Wan", "wan", ".hidden"]
    board = build(run, [example.answer(run, name, "style-01") for name in names])
    paths = [path for path in html.Pages(board) if path != "leaderboard.html"]
    assert len({path.lower() for path in paths}) == len(names)
    assert all(re.fullmatch(r"leaderboard-files/models/[\w+~-][\w.+~-]*\.html", path) for path in paths)


def test_the_pages_that_a_report_replaces_are_gone(board, tmp_path):
    (tmp_path / "leaderboard-files" / "models").mkdir(parents=True)
    stale = tmp_path / "leaderboard-files" / "models" / "renamed.html"
    stale.write_text("of an earlier report")
    other = tmp_path / "leaderboard-files" / "others" / "p1.html"
    other.parent.mkdir()
    other.write_text("of another format")
    reporters.write_all(board, tmp_path, ["html"])
    assert not stale.exists()
    assert other.exists()
    models = {path.stem for path in stale.parent.iterdir()}
    assert models == {row.model for row in board.rows}


@pytest.mark.parametrize(
    ("run", "relative"),
    [
        ("..", "run.json"),
        ("a/b", "run.json"),
        ("r", "../../secret"),
        ("r", "/etc/passwd"),
        ("", "x"),
        ("r", "a\\..\\..\\..\\x"),
    ],
)
def test_no_link_leads_out_of_the_reports_folder(run, relative, tmp_path):
    (tmp_path / "secret").write_text("secret")
    assert pages.Files(None).link(run, relative) is None
    assert pages.Files(tmp_path / "reports").link(run, relative) is None


def test_sorting_has_what_it_needs(board):
    page = Page(html.render(board).partition('<table id="t0"')[2])
    cells = [a for a in page.all("td") if "data-group" in a]
    assert {a["data-group"] for a in cells} == {"0", "1", "2"}
    assert all(("data-value" in a) or a["data-group"] == "2" for a in cells)
    buttons = [a for a in page.all("button") if "data-first" in a]
    assert [a["data-first"] for a in buttons[2:]] == [
        "ascending",
        "descending",
        "descending",
        "ascending",
        "descending",
        "ascending",
    ]


def test_quality_against_latency_is_drawn_when_trained_models_have_both(board):
    assert not [a for a in Page(html.render(board)).all("svg") if a["class"] == "scatter"]
    run = example.example_run()
    trained = [
        dataclasses.replace(record, model=record.model.replace("calibration", "model"), weights="hub")
        for record in example.example_records(run)
        if record.model in example.CALIBRATION
    ]
    page = Page(html.render(build(run, trained)))
    (scatter,) = [a for a in page.all("svg") if a["class"] == "scatter"]
    assert "latency" in str(scatter["aria-label"])


@pytest.mark.slow
def test_a_page_of_three_hundred_models_is_small_and_each_models_page_has_every_prompt():
    run = example.example_run()
    chance = random.Random(0)
    records = [
        Record(
            run=run.id,
            nodeid=f"{m}-{p}",
            benchmark="b",
            model=f"model-{m:03}",
            status="passed",
            task="t2v",
            prompt=f"p{p:03}",
            weights="hub",
            recipe_digest="r",
            hardware="NVIDIA H100 80GB HBM3",
            measurements=tuple(
                Measurement(name=f"metric_{n}", value=0.5 + m / 1000 + chance.gauss(0, 0.05), unit="1", better="higher")
                for n in range(20)
            ),
        )
        for m in range(300)
        for p in range(3)
    ]
    board = build(run, records)
    made = html.Pages(board)
    text = made["leaderboard.html"]
    assert len(text.encode()) < 300_000
    assert "p001" not in text
    assert len(re.findall(r"<td[ >]", text)) == 300 * 22  # rank, passed, and every metric
    assert "300 rows, 20 metrics" in text
    assert made["leaderboard-files/models/model-007.html"].count('<li class="clip passed">') == 3


@pytest.mark.slow
def test_of_more_prompts_than_cards_a_table_has_all_with_their_figures_and_failures():
    run = example.example_run()
    figures = [(0.25, 2_000.0), (0.5, None), (-0.0001, 3.0)]
    records = [
        example.answer(run, "wan", f"p{at:03}", clip=None, measurements=_two_figures(*figures[at % 3]))
        for at in range(250)
    ]
    records += [example.lost(run, "wan", "p900", "failed", "BadClip", "black"), records.pop(0)]
    page = example.pages_of_models(build(run, records))
    cards, _, table = page.partition('id="all"')
    assert "200 of 251 tests, those that did not pass first" in page
    assert cards.count('<li class="clip ') == 200
    assert cards.index("p900") < cards.index("p001")
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r"<tr.*?</tr>", table)[1:]]
    assert len(rows) == 251
    told = {row[0]: row[-2:] for row in rows}
    assert (told["p003"], told["p004"], told["p005"]) == (["0.2500", "2,000.0"], ["0.5000", "–"], ["-0.0001", "3.0"])
    assert told["p900"] == ["BadClip:", "black"]


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ((0.5, 12.25), ["0.5000", "12.2500"]),
        ((-0.0001, 3.0), ["-0.0001", "3.0000"]),
        ((999.7, 12_345.0), ["1,000", "12,345"]),
        ((2e-7, 3e-7), ["2.000e-7", "3.000e-7"]),
    ],
)
def test_figures_of_a_prompts_line_are_written_as_everywhere_else(values, shown):
    made = [
        example.answer(example.example_run(), "wan", f"p{at}", clip=None, measurements=(_measured_quality(value),))
        for at, value in enumerate(values)
    ]
    (table,) = tables_of_prompts(made, pages.Files(None), texts=False)
    assert re.findall(r"<td>(.*?)</td>", table["lines"]) == shown


def _measured_quality(value: float) -> Measurement:
    return Measurement(name="m", value=value, unit="1", better="higher")


def _two_figures(quality: float, seconds: float | None) -> tuple[Measurement, ...]:
    return (
        _measured_quality(quality),
        Measurement(name="latency", value=seconds, unit="s", better="lower", kind="performance", reason="not timed"),
    )


# all of them


def test_nothing_to_show_is_said_in_every_format(empty):
    assert "nothing" in terminal.render(empty)
    assert "nothing" in html.render(empty)
    assert "nothing" in latex.render(empty)
    assert "nothing" in markdown.render(empty)
    assert csv.render(empty).startswith("benchmark,model")
    assert csv.render_standings(empty).startswith("task,trained,model")
    assert csv.render_tidy(empty).startswith("benchmark,model,parameters")
    assert stdlib_json.loads(json.render(empty))["standings"] == []


def test_write_all_writes_each_format_and_leaves_nothing_else(board, tmp_path):
    written = reporters.write_all(board, tmp_path / "reports", ["html", "latex", "csv", "markdown", "json"])
    names = [
        "leaderboard.html",
        "leaderboard.tex",
        "leaderboard.bib",
        "leaderboard-methods.tex",
        "leaderboard.csv",
        "standings.csv",
        "values.csv",
        "leaderboard.md",
        "leaderboard.json",
    ]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == sorted([*names, "leaderboard-files"])
    assert reporters.write_all(board, tmp_path / "reports", []) == []


def test_every_module_of_the_room_is_a_format_under_its_own_name():
    files = {path.stem for path in Path(formats.__file__).parent.glob("*.py")}
    assert set(formats.formats()) == files - {"__init__"}


def test_the_formats_are_asked_for_by_name():
    assert formats.chosen("all") == tuple(name for name in formats.formats() if name != "pdf")
    assert formats.chosen("none") == ()
    assert formats.chosen(" html, csv ") == ("html", "csv")


def test_an_unknown_format_has_near_misses_and_writes_nothing(board, tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'latex'"):
        reporters.write_all(board, tmp_path, ["html", "latx"])
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written_says_where(board, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"leaderboard\.csv: a file is where the folder should be"):
        reporters.write_all(board, tmp_path / "file", ["csv"])


def test_the_same_records_give_the_same_bytes(board):
    again = build(board.run, [record for row in reversed(board.rows) for record in row.records])
    assert dict(html.Pages(board)) == dict(html.Pages(again))
    for module in (latex, csv, json, markdown, terminal):
        assert module.render(board) == module.render(again)
    assert csv.render_standings(board) == csv.render_standings(again)


# verdicts


def judged(rules: str = "sharpness:-2%,latency:+10%,sharpnes:-1%", name: str = "wan2.1-t2v-1.3b") -> Any:
    run = example.example_run()
    now = [example.answer(run, name, prompt) for prompt in example.PROMPTS]
    worse = [
        dataclasses.replace(
            r, measurements=tuple(dataclasses.replace(m, value=m.value and m.value * 1.5) for m in r.measurements)
        )
        for r in now
    ]
    return judge(now, run, Baseline(run=run, records=tuple(worse)), parse_rules(rules))


def test_verdicts_in_the_terminal_come_worst_first_with_their_figures():
    lines = gate.render_terminal(judged(), width=400).splitlines()
    assert lines[0].startswith("FAILED regressed    sharpness of wan2.1-t2v-1.3b: 0.0")
    assert "did you mean 'sharpness'" in lines[1]
    assert lines[2].startswith("ok     inconclusive latency")
    assert lines[3] == "1 regressed, 1 missing, 1 inconclusive"
    assert gate.render_terminal(judged(), strict=True, width=400).splitlines()[2].startswith("FAILED inconclusive")
    assert max(map(len, gate.render_terminal(judged(), width=80).splitlines())) <= 80


@pytest.mark.parametrize("outcome", get_args(Outcome))
def test_every_outcome_of_a_gate_is_told(outcome):
    verdicts = [dataclasses.replace(judged()[0], outcome=outcome)]
    assert outcome in gate.render_terminal(verdicts, width=400).splitlines()[0]
    assert outcome in gate.render_markdown(verdicts)


@pytest.mark.parametrize("order", ["::error file=x::y", "##[error]x"])
def test_no_line_of_a_terminal_report_is_an_order_to_a_ci_runner(order):
    for text in (terminal.render(hostile_board(order), width=400), gate.render_terminal(judged(name=order))):
        assert order in text
        assert not [line for line in text.splitlines() if line.lstrip().startswith(("::", "##["))]


def test_verdicts_in_markdown_say_in_the_heading_whether_the_gate_passed():
    assert gate.render_markdown(judged()).startswith("# Gate: failed")
    assert gate.render_markdown(judged("latency:+10%")).startswith("# Gate: passed")
    assert gate.render_markdown(()) == gate.render_terminal(()) == ""


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_is_markup_among_the_verdicts(name):
    text = gate.render_markdown(judged(name=name))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", text + gate.render_terminal(judged(name=name)))


@pytest.mark.slow
def test_the_reporters_import_neither_torch_nor_pytest():
    code = "import sys, pytest_vdb.reporters.formats.html, pytest_vdb.reporters.terminal, pytest_vdb.reporters.gate\n"
    code += "print([m for m in ('torch', 'pytest', 'numpy', 'scipy') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_the_templates_are_part_of_the_package():
    assert {path.name for path in pages.TEMPLATES.iterdir()} >= {
        "leaderboard.css",
        "leaderboard.js",
        "leaderboard.html.j2",
    }
