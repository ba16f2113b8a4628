"""Posts of Stack Overflow with entities (Tabassum et al., ACL 2020), and how answers are judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

__all__ = ["TYPES", "Post", "Sentence", "Spans", "figures", "posts", "spans_of"]

#: The types of the paper, and the annotated ones that each stands for.
_MERGED = {
    "Algorithm": ("Algorithm",),
    "Application": ("Application",),
    "Class": ("Class_Name", "Library_Class"),
    "Code_Block": ("Code_Block",),
    "Data_Structure": ("Data_Structure",),
    "Data_Type": ("Data_Type",),
    "Device": ("Device",),
    "File_Name": ("File_Name",),
    "File_Type": ("File_Type",),
    "Function": ("Function_Name", "Library_Function"),
    "HTML_XML_Tag": ("HTML_XML_Tag",),
    "Language": ("Language",),
    "Library": ("Library",),
    "Operating_System": ("Operating_System",),
    "User_Interface_Element": ("User_Interface_Element",),
    "User_Name": ("User_Name",),
    "Value": ("Value",),
    "Variable": ("Variable_Name", "Library_Variable"),
    "Version": ("Version",),
    "Website": ("Website", "Organization"),
}
#: The 20 types; entities of others (errors, key strokes, licences, output) count as none.
TYPES = tuple(_MERGED)
_TYPE = {part: name for name, parts in _MERGED.items() for part in parts}

#: Tokens and their tags.
Sentence = list[tuple[str, str]]
#: Entities of a text: first and last token (not included) and type.
Spans = set[tuple[int, int, str]]


@dataclass
class Post:
    """A question or an answer.

    Attributes
    ----------
    question : str
        The number of the question that it is or answers.
    is_answer : bool
    sentences : list of list of (token, tag)
    """

    question: str
    is_answer: bool
    sentences: list[Sentence] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Its words with blanks between them."""
        return " ".join(token for sentence in self.sentences for token, _ in sentence)

    @property
    def tags(self) -> list[str]:
        """Those of all sentences."""
        return [tag for sentence in self.sentences for _, tag in sentence]


def posts(file: Path) -> list[Post]:
    """The posts of a file, without lines that stand for code and output left out of the corpus."""
    found: list[Post] = []
    for sentence in _sentences(file):
        text = " ".join(token for token, _ in sentence)
        if "Question_ID :" in text:
            found.append(Post(text.split()[-1], "Answer" in text))
        elif not ("Question_URL :" in text or _stands_for_code(text)) and found:
            found[-1].sentences.append(sentence)
    return [post for post in found if post.sentences]


def _stands_for_code(text: str) -> bool:
    return "omitted for annotation" in text and ("CODE_BLOCK :" in text or "OP_BLOCK :" in text)


def _sentences(file: Path) -> Iterable[Sentence]:
    sentence: Sentence = []
    for line in [*file.read_text(encoding="utf-8").split("\n"), ""]:
        if line.strip():
            token, tag = line.split("\t")[:2]
            sentence.append((token, _merged(tag)))
        elif sentence:
            yield sentence
            sentence = []


def _merged(tag: str) -> str:
    part, _, name = tag.partition("-")
    return f"{part}-{_TYPE[name]}" if name in _TYPE else "O"


def spans_of(tags: Iterable[str]) -> Spans:
    """The entities that BIO tags spell."""
    spans: Spans = set()
    start, kind = 0, ""
    place = -1
    for place, tag in enumerate(tags):
        if kind and tag != f"I-{kind}":
            spans.add((start, place, kind))
            kind = ""
        if tag != "O" and not kind:
            start, kind = place, tag[2:]
    if kind:
        spans.add((start, place + 1, kind))
    return spans


def figures(
    real: list[Spans], found: list[Spans], kind: Optional[str] = None
) -> tuple[float, float, float]:
    """Micro precision, recall and F1 of entities with the same ends and type."""

    def of_kind(spans: Spans) -> Spans:
        return {span for span in spans if kind in (None, span[2])}

    pairs = [(of_kind(a), of_kind(b)) for a, b in zip(real, found)]
    hits = sum(len(a & b) for a, b in pairs)
    there, said = (sum(len(pair[side]) for pair in pairs) for side in (0, 1))
    return (
        hits / said if said else 0.0, hits / there if there else 0.0,
        2 * hits / (there + said) if there + said else 0.0,
    )  # fmt: skip
