import json
from collections import Counter
from pathlib import Path

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
    room = Path(suites.__file__).parent / "suites"
    assert list(suites.suite_names()) == sorted(path.stem for path in room.iterdir() if path.suffix == ".jsonl")
    for name in suites.suite_names():
        suite = suites.load(name, root=tmp_path)
        assert suite.name == name
        assert suite.version.isdigit(), f"{name}.jsonl: its first line says its version, as that of smoke.jsonl does"


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


# VBench-I2V's list of prompts and images ------------------------------------------------------------------------------


I2V = [
    {"prompt_en": "a cat", "dimension": ["i2v_subject", "motion"], "image_type": "animal", "image_name": "a cat.jpg"},
    {"prompt_en": "a cat", "dimension": ["i2v_subject"], "image_type": "animal", "image_name": "another cat.jpg"},
    {"prompt_en": "a cat", "dimension": ["camera"], "image_type": "animal", "image_name": "a cat.jpg"},
    {"prompt_en": "a hill", "dimension": ["i2v_background"], "image_type": "scenery", "image_name": "a hill.jpg"},
]


@pytest.mark.parametrize("folder", suites.IMAGE_FOLDERS)
def test_prompts_that_differ_in_the_image_alone_are_several_and_have_their_images(write, tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for entry in I2V:
        (tmp_path / folder / entry["image_name"]).write_bytes(b"")
    suite = load(write("i2v.json", json.dumps(I2V)))
    assert [(prompt.text, prompt.category, prompt.tags) for prompt in suite.prompts] == [
        ("a cat", "animal", ("i2v_subject", "motion", "camera")),
        ("a cat", "animal", ("i2v_subject",)),
        ("a hill", "scenery", ("i2v_background",)),
    ]
    names = ("a cat.jpg", "another cat.jpg", "a hill.jpg")
    assert [prompt.image for prompt in suite.prompts] == [str((tmp_path / folder / name).resolve()) for name in names]
    assert len({prompt.id for prompt in suite.prompts}) == 3
    assert suites.absent_images(suite) == ()


def test_an_image_beside_the_list_comes_before_those_elsewhere(write, tmp_path):
    (tmp_path / "data" / "origin").mkdir(parents=True)
    for place in (tmp_path / "data" / "origin", tmp_path):
        (place / "a hill.jpg").write_bytes(b"")
    (prompt,) = load(write("i2v.json", json.dumps(I2V[3:]))).prompts
    assert prompt.image == str((tmp_path / "a hill.jpg").resolve())


def test_an_image_that_is_not_there_is_still_the_prompts(write, tmp_path):
    suite = load(write("i2v.json", json.dumps(I2V)))
    assert [Path(image).name for image in suites.absent_images(suite)] == ["a cat.jpg", "another cat.jpg", "a hill.jpg"]


def test_what_is_written_for_vbench_i2v_is_read_back(write):
    suite = load(write("i2v.json", json.dumps(I2V)))
    entries = suites.vbench_entries(suite)
    assert entries[2] == I2V[3]
    assert load(write("again.json", json.dumps(entries))).prompts == suite.prompts


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"prompt_en": "a", "image_name": 5}, "entry 1: image_name is 5"),
        ({"prompt_en": "a", "image_type": "animal"}, "entry 1: an image_type, and no image_name"),
        ({"prompt_en": "a", "image_name": "\ud800"}, "entry 1: image_name holds half a character"),
    ],
)
def test_an_entry_whose_image_is_none_says_so(write, entry, said):
    with pytest.raises(PromptError) as caught:
        load(write("i2v.json", json.dumps([entry])))
    assert said in str(caught.value)


def test_a_derived_id_follows_from_the_image_too(write, tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    lines = [{"text": "A kite.", "image": "a.png"}, {"text": "A kite.", "image": "b.png"}, {"text": "A kite."}]
    suite = load(write("mine.jsonl", "\n".join(map(json.dumps, lines))))
    assert len({prompt.id for prompt in suite.prompts}) == 3
    (alone,) = load(write("one.jsonl", json.dumps(lines[1]))).prompts
    assert alone.id == suite.prompts[1].id


# Lines that are lines, and comments that are comments ----------------------------------------------------------------


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_comment_is_a_number_sign_and_a_space(write, end):
    lines = ["# Kites", "#", "## More kites ##", "#\tand a tab", "#1 dad mug", "  #sunset at the beach", "A # kite."]
    suite = load(write("mine.txt", end.join(lines)))
    assert [prompt.text for prompt in suite.prompts] == ["#1 dad mug", "#sunset at the beach", "A # kite."]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\x0b", "\x0c", "\x1c"])
def test_only_line_feeds_end_a_line(write, separator):
    text = f"A kite.{separator}It dives."
    assert [prompt.text for prompt in load(write("a.txt", f"{text}\nAnother.")).prompts] == [text, "Another."]
    line = json.dumps({"text": text}, ensure_ascii=False)
    if separator > " ":  # JSON escapes the others
        assert [prompt.text for prompt in load(write("a.jsonl", f"{line}\n")).prompts] == [text]
    assert [prompt.text for prompt in load(write("a.csv", f"text\n{text}\nAnother.\n")).prompts] == [text, "Another."]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices as files here")
@pytest.mark.parametrize("field", ["image", "video"])
def test_a_device_is_no_conditioning_file(write, field):
    with pytest.raises(PromptError, match=rf"mine\.jsonl:1: {field} '/dev/zero' is a device"):
        load(write("mine.jsonl", json.dumps({"text": "x", field: "/dev/zero"})))


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "a\0.png"])
def test_a_conditioning_file_of_a_name_that_none_can_have_is_not_there(write, name):
    with pytest.raises(PromptError, match=r"mine\.jsonl:1: there is no file"):
        load(write("mine.jsonl", json.dumps({"text": "x", "image": name})))
