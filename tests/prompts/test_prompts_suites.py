import json
from collections import Counter

import pytest

from pytest_vdb.errors import PromptError, UnknownName
from pytest_vdb.prompts import suites

CATEGORIES = [
    "motion-dynamics",
    "camera-movement",
    "scene-transitions",
    "temporal-consistency",
    "people-and-action",
    "animals",
    "composition-and-counting",
    "physics",
    "style",
    "text-and-fine-detail",
]


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def load(path):
    return suites.load(path.name, root=path.parent)


# What is shipped ----------------------------------------------------------------------------------------------------


def test_the_standard_suite_has_ten_prompts_in_each_of_ten_categories(tmp_path):
    suite = suites.load("standard-100", root=tmp_path)
    assert Counter(prompt.category for prompt in suite.prompts) == dict.fromkeys(CATEGORIES, 10)
    assert [prompt.id for prompt in suite.prompts] == [f"p{number:03d}" for number in range(1, 101)]
    assert len({prompt.text for prompt in suite.prompts}) == 100
    assert all(prompt.tags for prompt in suite.prompts)
    assert max(len(prompt.text.split()) for prompt in suite.prompts) <= 40, "CLIP reads 77 tokens at most"


def test_the_smoke_suite_is_six_prompts_of_the_standard_suite(tmp_path):
    smoke, standard = (suites.load(name, root=tmp_path) for name in ("smoke", "standard-100"))
    assert len(smoke.prompts) == 6
    assert set(smoke.prompts) <= set(standard.prompts)
    assert len({prompt.category for prompt in smoke.prompts}) == 6


def test_every_shipped_suite_is_listed_under_its_own_name_and_versioned(tmp_path):
    assert suites.suite_names() == ("smoke", "standard-100")
    for name in suites.suite_names():
        suite = suites.load(name, root=tmp_path)
        assert (suite.name, suite.version) == (name, "1")


# Parts of a suite ---------------------------------------------------------------------------------------------------


def test_a_category_is_chosen_after_a_colon(tmp_path):
    suite = suites.load("standard-100:physics", root=tmp_path)
    assert (suite.name, len(suite.prompts)) == ("standard-100:physics", 10)
    assert {prompt.category for prompt in suite.prompts} == {"physics"}


def test_a_number_chooses_the_first_ones(tmp_path):
    suite = suites.load("standard-100:8", root=tmp_path)
    assert [prompt.id for prompt in suite.prompts] == [f"p00{number}" for number in range(1, 9)]
    assert suite.digest() != suites.load("standard-100", root=tmp_path).digest()


@pytest.mark.parametrize("count", [0, 7])
def test_a_number_that_the_suite_does_not_have_is_refused(tmp_path, count):
    with pytest.raises(PromptError, match=rf"{count} prompts asked for, the suite has 6"):
        suites.load(f"smoke:{count}", root=tmp_path)


def test_a_file_can_be_chosen_from_too(write):
    path = write("mine.txt", "one\ntwo\nthree\n")
    assert len(suites.load(f"{path}:2", root=path.parent).prompts) == 2


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("smok", "unknown prompt suite 'smok'\n  did you mean 'smoke'"),
        ("standard-100:physic", "unknown category 'physic'\n  did you mean 'physics'"),
        ("", "unknown prompt suite ''"),
        (":8", "unknown prompt suite ':8'"),
        ("smoke:", "unknown category ''"),
    ],
)
def test_a_typo_lists_the_near_misses(tmp_path, expression, message):
    with pytest.raises(UnknownName) as caught:
        suites.load(expression, root=tmp_path)
    assert message in str(caught.value)


# The user's own -----------------------------------------------------------------------------------------------------


def test_jsonl_gives_every_field(write, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    path = write(
        "mine.jsonl",
        '\ufeff{"suite": "mine", "version": "3"}\n\n'
        '{"id": "<script>/..", "text": " A kite. ", "category": "c", "tags": ["t"], '
        '"negative": "n", "image": "a.png"}\n'
        '{"id": 7, "text": "日本"}\r\n',
    )
    suite = load(path)
    first, second = suite.prompts
    assert (suite.name, suite.version) == ("mine", "3")
    assert (first.id, first.text, first.category) == ("<script>/..", "A kite.", "c")
    assert (first.tags, first.negative) == (("t",), "n")
    assert first.image == str((tmp_path / "a.png").resolve())
    assert (second.id, second.text, second.category) == ("7", "日本", "uncategorised")


def test_text_files_hold_a_prompt_a_line(write):
    suite = load(write("mine.txt", "# about kites\nA red kite dives.\n\n  A blue one follows.  "))
    assert [prompt.text for prompt in suite.prompts] == ["A red kite dives.", "A blue one follows."]
    assert (suite.name, suite.version) == ("mine", "unversioned")


def test_a_derived_id_stays_when_lines_are_added(write):
    before = load(write("a.txt", "A red kite dives.\n")).prompts[0]
    after = load(write("b.txt", "Another.\nA red kite dives.\n")).prompts[1]
    assert before == after
    assert before.id.startswith("a-red-kite-dives-")


def test_csv_names_its_columns(write):
    suite = load(write("mine.csv", 'id,text,tags,category\nk1,"A kite, red.",fast; sky,c\nk2,Another.,,\n\n'))
    assert [(p.id, p.text, p.tags, p.category) for p in suite.prompts] == [
        ("k1", "A kite, red.", ("fast", "sky"), "c"),
        ("k2", "Another.", (), "uncategorised"),
    ]


def test_the_digest_does_not_depend_on_where_the_file_lies(tmp_path):
    digests = set()
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "a.png").write_bytes(b"")
        (folder / "mine.jsonl").write_text('{"text": "A kite.", "image": "a.png"}\n')
        digests.add(suites.load("mine.jsonl", root=folder).digest())
    assert len(digests) == 1


def test_a_path_may_hold_a_colon(write):
    assert len(load(write("mine:8.txt", "A kite.\n")).prompts) == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"text": "x"}\n{"text": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", '{"text": "x"}\n[1]\n', "a.jsonl:2: list instead of an object"),
        ("a.jsonl", '{"prompt": "x"}\n', "a.jsonl:1: unknown field 'prompt'"),
        ("a.jsonl", '{"text": "x", "categroy": "y"}\n', "did you mean 'category'?"),
        ("a.jsonl", '{"id": "x"}\n', "a.jsonl:1: no text"),
        ("a.jsonl", '{"text": "  "}\n', "a.jsonl:1: no text"),
        ("a.jsonl", '{"text": 5}\n', "a.jsonl:1: text is 5, not text"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "a.jsonl:1: text holds half a character"),
        ("a.jsonl", '{"text": "x", "tags": 5}\n', "a.jsonl:1: tags are 5"),
        ("a.jsonl", '{"text": "x", "image": "no.png"}\n', "a.jsonl:1: there is no file 'no.png'"),
        (
            "a.jsonl",
            '{"id": "a", "text": "x"}\n\n{"id": "a", "text": "y"}\n',
            "a.jsonl:3: the id 'a' is taken by line 1",
        ),
        ("a.jsonl", '{"suite": "only a header"}\n', "the file holds no prompt"),
        ("a.jsonl", "", "the file holds no prompt"),
        ("a.jsonl", "[" * 100_000, "a.jsonl:1: not JSON"),
        ("a.txt", "\n# nothing\n", "the file holds no prompt"),
        ("a.txt", "same\nother\nsame\n", "a.txt:3: the id"),
        ("a.txt", b"fine\nnot \xff fine\n", "a.txt:2: not UTF-8"),
        ("a.csv", "prompt\nx\n", "a.csv:1: the header names no 'text': prompt"),
        ("a.csv", "id,text\na,b,c\n", "a.csv:2: another number of columns"),
        ("a.csv", 'id,text\na,"b\n', "not CSV"),
        ("a.csv", "", "a.csv:1: the header names no 'text': it is empty"),
        ("a.csv", "text,speed\nx,3\n", "a.csv:2: unknown field 'speed'"),
        ("a.docx", "x", "a file of kind '.docx'"),
    ],
)
def test_a_broken_file_names_file_line_and_mend(write, name, content, said):
    with pytest.raises(PromptError) as caught:
        load(write(name, content))
    assert said in str(caught.value)
    assert caught.value.mend


def test_a_missing_file_is_said(tmp_path):
    for expression in ("no.jsonl", "no.txt:8", "prompts/no"):
        with pytest.raises(PromptError, match="there is no such prompt file"):
            suites.load(expression, root=tmp_path)


# VBench's list of prompts --------------------------------------------------------------------------------------------


VBENCH = """[
  {"prompt_en": "a person swimming", "dimension": ["human_action"]},
  {"prompt_en": "a red kite", "dimension": ["color", "scene"], "auxiliary_info": {"color": {"color": "red"}}},
  {"prompt_en": "a person swimming", "dimension": ["subject_consistency"]}
]"""


def test_vbenchs_prompts_are_read_with_their_dimensions_as_tags(write):
    suite = load(write("VBench_full_info.json", VBENCH))
    assert [(prompt.text, prompt.category, prompt.tags) for prompt in suite.prompts] == [
        ("a person swimming", "human_action", ("human_action", "subject_consistency")),
        ("a red kite", "color", ("color", "scene")),
    ]
    assert suite.name == "VBench_full_info"


def test_what_is_written_for_vbench_is_read_back(write):
    suite = load(write("prompts.json", VBENCH))
    again = load(write("again.json", json.dumps(suites.vbench_entries(suite))))
    assert again.prompts == suite.prompts


@pytest.mark.parametrize("text", ["{", '["a"]', '{"a.mp4": "a"}', '[{"prompt_en": "a", "dimension": "color"}]', "[]"])
def test_a_json_file_that_is_not_vbenchs_says_what_is(write, text):
    with pytest.raises(PromptError):
        load(write("prompts.json", text))
