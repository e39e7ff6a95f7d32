"""A paper takes tables that fit its page, figures, a bibliography and a paragraph that claims what was done."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import example_run as example
import pytest

from pytest_vdb.analysis import Leaderboard, build
from pytest_vdb.errors import OptionError, UnknownName
from pytest_vdb.metrics.papers import papers
from pytest_vdb.metrics.registry import MetricRegistry
from pytest_vdb.records import Measurement, Record, Run
from pytest_vdb.reporters import bibliography, tex
from pytest_vdb.reporters.formats import latex, markdown
from pytest_vdb.reporters.methods import plain_methods

RUN = dataclasses.replace(example.example_run(), options={"seed": 7})
QUALITY = ("clip_similarity", "temporal_flicker", "vbench.subject_consistency", "motion_of_my_own")
COSTS = (("latency", "s"), ("energy", "J"))


def answers(run: Run, model: str, at: int, metrics: int, prompts: int = 6, **more: Any) -> list[Record]:
    """Of `metrics` columns: a model is the better, and the dearer, the larger `at` is."""
    quality = [*QUALITY, *(f"a_rather_long_name_{n}" for n in range(metrics))][: metrics - len(COSTS)]
    made = []
    for prompt in range(prompts):
        level = 0.1 + 0.05 * at + 0.003 * prompt
        values = [Measurement(name=name, value=level, unit="1", better="higher") for name in quality]
        values += [
            Measurement(name=name, value=1000 * level + prompt, unit=unit, better="lower", kind="performance")
            for name, unit in COSTS
        ]
        told: dict[str, Any] = {"weights": "hub", "clip": None, "hardware": "NVIDIA H100 80GB HBM3"}
        made.append(example.answer(run, model, f"p{prompt}", **told | {"measurements": tuple(values)} | more))
    return made


@lru_cache
def board(models: int = 3, metrics: int = 6) -> Leaderboard:
    names = [f"model-{chr(97 + at)}-14b-540p" for at in range(models)]
    return build(RUN, [record for at, name in enumerate(names) for record in answers(RUN, name, at, metrics)])


def paper(made: Leaderboard, *, columns: str = "", rows: str = "", width: int | None = None, alone: bool = False):
    return latex.paper_for(made, columns=columns, rows=rows, width=width, standalone=alone)


def compiled(folder: Path, made: Leaderboard, asked: latex.Paper, main: str | None = None) -> str:
    """What pdflatex says of the tables, or of a document that takes them."""
    pdflatex = shutil.which("pdflatex")
    if pdflatex is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-recommended)")
    for name, text in latex.files_for(made, folder, paper=asked).items():
        (folder / name).write_text(text, encoding="utf-8")
    if main is not None:
        (folder / "main.tex").write_text(main, encoding="utf-8")
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "main" if main else "leaderboard"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-2000:]
    return said


# on paper


@pytest.mark.slow
@pytest.mark.parametrize("width", [237, 345, 700])
def test_twenty_columns_of_twelve_models_stay_on_the_page(tmp_path, width):
    made = board(models=12, metrics=20)
    said = compiled(tmp_path, made, paper(made, width=width))
    assert "Overfull" not in said
    assert "is wider than the line" not in said


@pytest.mark.slow
def test_a_narrower_page_scales_a_table_down(tmp_path):
    made = board()
    main = r"\documentclass{article}\usepackage{booktabs,graphicx,xcolor,textcomp}"
    main += r"\usepackage[textwidth=200pt]{geometry}\begin{document}\input{leaderboard}\end{document}"
    said = compiled(tmp_path, made, paper(made), main)
    assert "is wider than the line of 200.0pt" in said
    assert "Overfull \\hbox" not in said


@pytest.mark.slow
def test_a_document_of_its_own_cites_what_its_bibliography_has(tmp_path):
    made = board()
    assert "Overfull" not in compiled(tmp_path, made, paper(made, alone=True))
    bibtex = shutil.which("bibtex")
    if bibtex is None:
        pytest.skip("bibtex is not installed")
    done = subprocess.run([bibtex, "leaderboard"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Warning" not in done.stdout
    again = [compiled(tmp_path, made, paper(made, alone=True)) for _ in range(2)]
    assert "Citation" not in again[-1]
    assert (tmp_path / "leaderboard.bbl").read_text().count(r"\bibitem") == 3


@pytest.mark.slow
def test_figures_compile_with_pgfplots_and_say_what_they_need_without(tmp_path):
    made = board(models=5, metrics=8)
    preamble = r"\documentclass{article}\begin{document}\input{leaderboard-pareto}\input{leaderboard-radar}"
    compiled(tmp_path, made, paper(made), preamble + r"\end{document}")
    found = shutil.which("kpsewhich")
    has = found and subprocess.run([found, "pgfplots.sty"], capture_output=True, check=False).stdout
    if not has:
        pytest.skip("pgfplots is not installed (Debian: texlive-pictures)")
    said = compiled(
        tmp_path,
        made,
        paper(made),
        preamble.replace("{article}", r"{article}\usepackage{pgfplots}") + r"\end{document}",
    )
    assert "Overfull" not in said


def test_no_text_is_wider_than_it_is_taken_to_be():
    # Widths of cmr10 in ems, as its font metric file has them.
    known = {"m": 0.833, "W": 1.028, "0": 0.5, "i": 0.278, "A": 0.75, "%": 0.833, "-": 0.333, "e": 0.444, "F": 0.653}
    assert {c: tex.width_of(c) >= width for c, width in known.items()} == dict.fromkeys(known, True)
    assert tex.width_of("a") + tex.width_of("模") == tex.width_of("a模") > 3


# what is in the tables


def headers(text: str) -> list[list[str]]:
    """The names of the groups over each table."""
    return [re.findall(r"\\multicolumn\{\d+\}\{c\}\{(\w+)\}", part) for part in text.split(r"\begin{table}")[1:]]


def test_columns_stand_under_their_groups_and_the_first_one_is_repeated():
    text = latex.render(board(), paper(board()))
    assert headers(text)[0][:2] == ["conformance", "quality"]
    assert "costs" in {name for groups in headers(text) for name in groups}
    parts = [part for part in text.split(r"\begin{table}")[1:] if "continued (2 of" in part]
    assert parts
    for part in parts:
        assert part.count("model-{}a-{}14b-{}540p") == 1
        assert "passed" not in part


def test_what_people_prefer_has_a_group_of_its_own():
    elo = Measurement(name="preference", value=1010.0, unit="Elo", better="higher", version="bradley-terry")
    made = build(RUN, [example.answer(RUN, name, "p0", weights="hub", measurements=(elo,)) for name in ("a", "b")])
    assert headers(latex.render(made)) == [["conformance", "preference"]] * 2
    assert "@article{bradley1952rank," in bibliography.render(made)


def test_the_caption_says_of_how_many_prompts_and_on_what():
    assert "Values of 6 prompts. Costs on NVIDIA H100 80GB HBM3." in latex.render(board())


def test_wanted_columns_stand_alone_and_in_their_order():
    text = latex.render(board(), paper(board(), columns="lat*, clip_similarity", width=700))
    (table,) = text.split(r"\begin{table}")[1:]
    heads = re.findall(r"\\vdbhead\{([^}]*)", table)
    assert [head.split(r"\\")[0].split()[0] for head in heads] == ["rank", "passed", "latency", "clip"]


def test_wanted_rows_are_the_only_ones():
    text = latex.render(board(), paper(board(), rows="model-[ab]*"))
    assert "model-{}b-{}14b" in text
    assert "\n    model-{}c-{}14b" not in text


def test_more_rows_than_a_page_has_continue_on_the_next():
    made = build(RUN, [record for at in range(40) for record in answers(RUN, f"m{at:02}", at, 3, prompts=1)])
    text = latex.render(made, paper(made, columns="latency"))
    assert [part.count("1/1") for part in text.split(r"\begin{table}")[1:]] == [36, 4]


@pytest.mark.parametrize(
    ("asked", "kind", "meant"),
    [({"columns": "latancy"}, "column", "latency"), ({"rows": "model-a-14b-540"}, "row", "model-a-14b-540p")],
)
def test_a_misspelt_name_says_what_was_meant(asked, kind, meant):
    with pytest.raises(UnknownName, match=f"unknown {kind} .*\\n.*did you mean '{meant}'"):
        paper(board(), **asked)


def test_a_width_in_which_nothing_fits_is_refused():
    with pytest.raises(OptionError, match="--latex-width: 50 points\n  give at least 120"):
        paper(board(), width=50)


# the bibliography


@pytest.mark.parametrize("spec", list(MetricRegistry.builtin()), ids=lambda spec: spec.name)
def test_a_metric_declares_the_papers_that_its_docstring_names(spec):
    source = (spec.function.__doc__ or "").partition("Source:")[2]
    assert set(spec.papers) <= papers().keys(), "a key that papers.bib has not"
    assert bool(spec.papers) or not source, "its docstring names a source: say papers=(...)"
    known = {papers()[key].fields.get("eprint") for key in spec.papers}
    assert set(re.findall(r"arXiv (\d{4}\.\d{5})", source)) <= known


def test_every_paper_of_the_bibliography_is_some_metrics():
    declared = {key for spec in MetricRegistry.builtin() for key in spec.papers}
    assert papers().keys() - declared == {"bradley1952rank"}  # of what people prefer, which no metric measures


def test_the_bibliography_has_the_papers_of_metrics_with_a_value_and_names_the_others():
    text = bibliography.render(board())
    assert re.findall(r"@\w+\{(\w+),", text) == ["hessel2021clipscore", "huang2024vbench", "liu2024evalcrafter"]
    assert "No paper is declared for: motion_of_my_own." in text


# the methods


def test_the_methods_are_the_runs_own_facts():
    said = plain_methods(board())
    for part in (
        "3 models (published weights: ",
        "asked 6 prompts of smoke@1",
        "the base seed 7",
        "9 frames, 96×64, 2 steps, fp32",
        "Of 18 tests 18 passed.",
        "clip_similarity (Hessel et al. 2021; Liu et al. 2024)",
        "Costs (latency in s, energy in J) were measured on NVIDIA H100 80GB HBM3.",
        "torch 2.9.0",
    ):
        assert part in said
    assert markdown.plain(said) in markdown.render(board())
    assert r"clip\_similarity~\cite{hessel2021clipscore,liu2024evalcrafter}" in latex.render_methods(board())


def test_the_methods_claim_nothing_that_was_not_done():
    one = [answers(RUN, "only", 1, 6, prompts=1)[0]]
    said = plain_methods(build(dataclasses.replace(RUN, options={}), one))
    for part in ("seed follows", "interval", "told apart", "A rank is", "mean over prompts", "failed prompt", "cache"):
        assert part not in said
    other = dataclasses.replace(one[0], run="20250101-000000-ffffff")
    assert "the base seed" not in plain_methods(build(RUN, [other]))
    assert "It ran on" not in plain_methods(build(RUN, [other]))
    failed = example.lost(RUN, "a", "p5", "failed", "BadClip", "black", weights="hub", hardware="NVIDIA H100 80GB HBM3")
    told = plain_methods(build(RUN, [*answers(RUN, "a", 1, 6)[:5], failed, *answers(RUN, "b", 2, 6)]))
    assert "Of 12 tests 11 passed, 1 failed." in told
    assert "A failed prompt counts as the worst value" in told
    assert plain_methods(build(RUN, [])) == "No test left a record."
