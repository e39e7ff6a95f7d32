"""Tokenizers made in memory, of fixed vocabularies: nothing is trained, downloaded or read from a file.

A vocabulary trained on the spot may differ from process to process; these are written out by rule, so that two
processes save the same bytes. They know the words of diffusers' chat templates and a few more, and spell the rest:
every prompt gets tokens of its own, though not the tokens of the real model. Each fits into `VOCABULARY_SIZE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

VOCABULARY_SIZE = 1024
"""What a text encoder of the tiny architectures must embed. A test holds every tokenizer to it."""

KNOWN_WORDS = """
a an and are as at be by for from in into is it of on or over that the this to up with
you helpful assistant describe video image by detailing following aspects main content theme color shape size texture
quantity text spatial relationships objects actions events behaviors temporal physical movement changes background
environment light style atmosphere camera angles movements transitions
cat dog bird horse man woman child person people red blue green white black walks runs jumps swims sits stands water
sea sky grass road street city house tree forest mountain day night sun rain snow slow fast close shot photo
"""

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Roles and texts in Qwen's marks; images and videos are left to the caller's own placeholders."""


def t5() -> Any:
    """A SentencePiece-like unigram tokenizer for T5 and UMT5 encoders."""
    import transformers

    specials = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    words = [("▁" + word, -4.0) for word in _words()]
    letters = [(letter, -8.0) for letter in ["▁", *_printable()]]
    return transformers.T5Tokenizer(vocab=[*specials, *words, *letters], extra_ids=0, model_max_length=512)


def byt5() -> Any:
    """The tokenizer of ByT5, which has no vocabulary but the bytes."""
    import transformers

    return transformers.ByT5Tokenizer()


def clip() -> Any:
    """Byte-level BPE with CLIP's end-of-word mark; 77 tokens, end of text is id 1."""
    import transformers

    letters = _byte_letters()
    vocabulary = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    vocabulary, merges = _grown(vocabulary, ([*word[:-1], word[-1] + "</w>"] for word in _words()))
    return transformers.CLIPTokenizer(vocab=_numbered_tokens(vocabulary), merges=merges, model_max_length=77)


def llama() -> Any:
    """BPE over printable characters with LLaVA's `<image>` (id 4) and Llama 3's end of a header; pads on the right."""
    import transformers

    specials = ["<unk>", "<s>", "</s>", "<pad>", "<image>", "<|end_header_id|>"]
    vocabulary, merges = _grown([*specials, "▁", *_printable()], (["▁", *word] for word in _words()))
    return transformers.LlamaTokenizer(
        vocab=_numbered_tokens(vocabulary),
        merges=merges,
        pad_token="<pad>",
        additional_special_tokens=["<image>", "<|end_header_id|>"],
        padding_side="right",
        model_max_length=1024,
    )


def gemma() -> Any:
    """BPE over printable characters with Gemma's marks."""
    import transformers

    specials = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>"]
    vocabulary, merges = _grown([*specials, "▁", *_printable()], (["▁", *word] for word in _words()))
    return transformers.GemmaTokenizer(
        vocab=_numbered_tokens(vocabulary), merges=merges, chat_template=CHAT_TEMPLATE, model_max_length=1024
    )


def qwen() -> Any:
    """Byte-level BPE with Qwen's marks: `<|image_pad|>` is id 5, `<|video_pad|>` is id 6."""
    import transformers

    specials = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    # "Ġ" is how byte-level BPE writes the space before a word.
    vocabulary, merges = _grown([*specials, *_byte_letters()], (["Ġ", *word] for word in _words()))
    return transformers.Qwen2Tokenizer(
        vocab=_numbered_tokens(vocabulary),
        merges=merges,
        additional_special_tokens=specials[1:],
        chat_template=CHAT_TEMPLATE,
        model_max_length=4096,
    )


def qwen2_processor() -> Any:
    """Qwen2-VL's processor around the tokenizer above."""
    return _qwen_processor("Qwen2VLProcessor")


def qwen25_processor() -> Any:
    """Qwen2.5-VL's processor around the tokenizer above."""
    return _qwen_processor("Qwen2_5_VLProcessor")


def qwen3_processor() -> Any:
    """Qwen3-VL's processor around the tokenizer above; its networks see patches of 16 pixels."""
    return _qwen_processor("Qwen3VLProcessor", video="Qwen3VLVideoProcessor", patch_size=16)


def _qwen_processor(name: str, video: str = "Qwen2VLVideoProcessor", **sizes: int) -> Any:
    import transformers

    return getattr(transformers, name)(
        image_processor=transformers.Qwen2VLImageProcessor(**sizes),
        video_processor=getattr(transformers, video)(**sizes),
        tokenizer=qwen(),
        chat_template=CHAT_TEMPLATE,
    )


def _grown(vocabulary: list[str], words: Iterable[list[str]]) -> tuple[list[str], list[tuple[str, str]]]:
    """The vocabulary with every word's beginnings added, and the merges that lead from letters to words."""
    merges: dict[tuple[str, str], None] = {}
    for word in words:
        beginning = word[0]
        for letter in word[1:]:
            merges[beginning, letter] = None
            beginning += letter
    return _distinct([*vocabulary, *(left + right for left, right in merges)]), list(merges)


def _words() -> list[str]:
    return _distinct(KNOWN_WORDS.split())


def _byte_letters() -> list[str]:
    """The 256 characters that byte-level BPE writes bytes as, sorted: the library hands them out in no fixed order."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


def _printable() -> list[str]:
    """The printable ASCII characters but the space, and the line end."""
    return ["\n", *(chr(code) for code in range(33, 127))]


def _distinct(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _numbered_tokens(vocabulary: list[str]) -> dict[str, int]:
    return {token: index for index, token in enumerate(vocabulary)}
