"""Names and texts that mean harm, and what to look for wherever they are shown: nothing is obeyed, nothing is asked."""

from __future__ import annotations

import base64
import csv
import json
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest
from listening import listening

import pytest_vdb

MARK = "PWNED"
"""Stands in every text: whoever runs one sets it, whoever asks for one names it, whoever writes one is called so."""

URL = f"http://stranger.invalid/{MARK}"
SCRIPT = f"window.{MARK}=1"

PATHS = (
    f"../../{MARK}",
    f"/tmp/{MARK}-abs",
    f"..\\..\\{MARK}",
    f"C:\\{MARK}",
    "CON",
    "aux.mp4",
    f"{MARK}.",
    f"{MARK} ",
)
LENGTHS = ("a" * 300 + MARK, "x" * 10_000 + MARK, "A", "a")
CONTROLS = (
    *(f"{MARK}\nsecond", f"{MARK}\rX", f"\x1b[31m{MARK}\x1b]0;title\x07", f"\x9b31m{MARK}", f"{MARK}\0x"),
    *(f"\u202egnp.{MARK}", f"{MARK}\u2028x", "PWN\u00adED\u200b", f"{MARK} \U0001f600"),
)
ORDERS = (f"::error::{MARK}", f"::set-output name=x::{MARK}", f"%s%n{MARK}")
PAGES = (
    *(
        f"<script>{SCRIPT};alert(1)</script>",
        f"</script><script>{SCRIPT}</script>",
        f"<img src={URL} onerror={SCRIPT}>",
    ),
    *(f'" onmouseover="{SCRIPT}', f"' autofocus onfocus='{SCRIPT}", f"javascript:{SCRIPT}", f"<!-- {MARK}"),
    *(f"</style><style>*{{background:url({URL})}}", f"{{{{ 7*7 }}}}{MARK}{{% raw %}}", f"<<{MARK}>><% {MARK} %>"),
)
SHEETS = (
    *(f"=cmd|'/C calc'!A0 {MARK}", f"+{MARK}", f"-{MARK}", f"@SUM({MARK})", f"\t={MARK}", f" ={MARK}", f"\r={MARK}"),
    *(f"\uff1d{MARK}", f"\ufeff={MARK}"),
)
PAPERS = (
    f"\\input{{/etc/passwd}}{MARK}",
    f"\\write18{{touch {MARK}}}",
    f"${MARK}$ & % # _ ^ ~ {{}}",
    f"^^5cinput{{{MARK}}}",
)
MARKDOWNS = (
    f"{MARK} | a | b",
    f"[{MARK}]({URL})",
    f"![{MARK}]({URL})",
    f"{MARK} @team #1 {URL}",
    f"`{MARK}``",
    f"```\n{MARK}",
)

HOSTILE = (*PATHS, *LENGTHS, *CONTROLS, *ORDERS, *PAGES, *SHEETS, *PAPERS, *MARKDOWNS)


# Terminals ------------------------------------------------------------------------------------------------------------

INVISIBLE = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs"})


def hidden_in(text: str, *, besides: str = "\n") -> set[str]:
    """Control and bidirectional characters, by their numbers."""
    return {f"U+{ord(c):04X}" for c in text if c not in besides and unicodedata.category(c) in INVISIBLE}


def check_screen(text: str) -> None:
    """What a terminal and a CI runner would obey is not there."""
    assert not hidden_in(text, besides="\n\r\t"), text[-2000:]
    assert not re.search(r"(?m)^\s*(::(error|warning|set-output)|##\[)", text), text[-2000:]
    assert "Traceback (most recent call last)" not in text, text[-2000:]


# Reports --------------------------------------------------------------------------------------------------------------


def _commands(text: str) -> set[str]:
    return set(re.findall(r"\\@?[A-Za-z]+", text.replace("\\\\", " ")))


def _own_commands() -> set[str]:
    """The LaTeX commands that the reporter itself writes."""
    room = Path(pytest_vdb.__file__).parent / "reporters"
    sources = (*room.rglob("*tex*.py"), room / "templates" / "leaderboard.tex.j2")
    return set().union(*(_commands(path.read_text(encoding="utf-8")) for path in sources))


def _check_latex(text: str) -> None:
    assert not hidden_in(text)
    assert not _commands(text) - _own_commands(), "a command of a stranger"
    assert "^^5c" not in text


FORMULA = ("=", "+", "-", "@", "|", "%", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def _check_csv(path: Path) -> None:
    text = path.read_text(encoding="utf-8-sig")
    assert not hidden_in(text)
    for row in csv.reader(text.splitlines()):
        for field in row:
            is_number = re.fullmatch(r"-?[\d.]+(e[-+]?\d+)?", field)
            assert is_number or not field.lstrip().startswith(FORMULA), f"a formula: {field[:60]!r}"


def _check_markdown(text: str) -> None:
    joiners = {"U+200C"}  # our own: they keep a word from being a link or a name
    assert not hidden_in(text) - joiners
    code = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", text)
    assert not re.search(r"(?<!\\)<(script|img|a|style|iframe|svg)\b|(?<!\\)\]\(http|@team", code), "live markup"


def check_reports(folder: Path) -> None:
    """Every format obeys nothing; the page is a browser's affair."""
    for path in folder.glob("leaderboard*.tex"):
        _check_latex(path.read_text(encoding="utf-8"))
    for name in ("leaderboard.csv", "standings.csv", "values.csv"):
        _check_csv(folder / name)
    _check_markdown((folder / "leaderboard.md").read_text(encoding="utf-8"))


# Browsers -------------------------------------------------------------------------------------------------------------

PROVOKE = """
<script>
addEventListener("load", () => setTimeout(() => {
  document.querySelectorAll("button.open, summary").forEach(button => button.click());
  const events = ["mouseover", "focus", "click", "error", "load"];
  const touched = document.querySelectorAll("*:not(a):not(button)");
  touched.forEach(one => events.forEach(name => one.dispatchEvent(new Event(name))));
  setTimeout(() => {
    const live = "[onmouseover],[onfocus],[onerror],iframe,object,embed,form,base,meta[http-equiv=refresh]";
    const here = new URL("%s", location.href).href;
    const links = [...document.querySelectorAll("a")].map(link => link.href);
    const away = links.filter(address => !address.startsWith(here));
    const seen = {ran: window.%s ?? null, live: document.querySelectorAll(live).length, away};
    document.documentElement.setAttribute("data-seen", btoa(unescape(encodeURIComponent(JSON.stringify(seen)))));
  }, 300);
}, 300));
</script>
"""
"""Touches everything that could be touched, and tells what came of it."""


def check_pages(reports: Path) -> None:
    """The leaderboard, and of the pages that it leads to a model's."""
    check_page(reports / "leaderboard.html")
    check_page(min((reports / "leaderboard-files" / "models").iterdir()), up="../../")


def check_page(page: Path, *, up: str = "./") -> None:
    """In a browser, without the page's own policy: what its escaping lets through is not caught by anything else.

    Args:
        page: the file.
        up: the way from it to the folder that its links do not leave.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    text = page.read_text(encoding="utf-8")
    bare, removed = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert removed == 1
    copy = page.with_name("provoked.html")
    copy.write_text(bare.replace("</body>", PROVOKE % (up, MARK) + "</body>"), encoding="utf-8")
    with listening() as (port, asked):
        proxy = (f"--proxy-server=http://127.0.0.1:{port}", "--proxy-bypass-list=<-loopback>")
        quiet = ("--disable-background-networking", "--disable-component-update", "--no-first-run")
        words = [browser, "--headless", "--no-sandbox", *quiet, *proxy, "--enable-logging=stderr"]
        words += ["--virtual-time-budget=5000", "--dump-dom", copy.as_uri()]
        shown = subprocess.run(words, capture_output=True, timeout=180)
    told = re.search(rb'data-seen="([^"]*)"', shown.stdout)
    assert told, shown.stderr[-2000:]
    seen = json.loads(base64.b64decode(told[1]))
    assert seen == {"ran": None, "live": 0, "away": []}
    assert b"CONSOLE" not in shown.stderr, shown.stderr[-2000:]
    assert not [url for url in asked if MARK in url]
