"""Texts that a small encoder learns from: definitions, manuals, questions and issues.

Everything is free to use: WordNet's glosses and examples, the Free On-line Dictionary of Computing and
the Jargon File (Debian's packages wordnet-base, dict-foldoc, dict-jargon), Linux's manual pages
(manpages, manpages-dev), sentences of Stack Overflow (stackoverflow_ner, train), of STS (stsb, train) and
issues of Hadoop (gitbugs_hadoop) without those that the duplicate search is judged by.
"""

from __future__ import annotations

import csv
import gzip
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import stacklens

__all__ = ["WHOLE", "issues_apart", "sentences"]

_PACKAGES = "wordnet-base dict-foldoc dict-jargon manpages manpages-dev"
_PATHS = (
    "/usr/share/wordnet/data.noun", "/usr/share/dictd/foldoc.dict.dz",
    "/usr/share/dictd/jargon.dict.dz", "/usr/share/man/man7/signal.7.gz",
    "/usr/share/man/man2/open.2.gz",
)  # fmt: skip
#: Characters of a text that are read, and of the longest text of an issue.
LONGEST, WHOLE = 400, 1_200


def sentences(data: Path, packages: bool = True) -> list[str]:
    """All texts, each once, in a fixed order; those of Debian's packages too, or not."""
    if packages and not all(Path(path).exists() for path in _PATHS):
        raise stacklens.InvalidArgumentError(f"texts are missing: apt-get install {_PACKAGES}")
    sources = [_questions(data), _pairs(data), _issues(data)]
    if packages:
        sources = [
            _wordnet(), _dictionary("foldoc"), _dictionary("jargon"), _manuals(), *sources
        ]  # fmt: skip
    kept = dict.fromkeys(
        re.sub(r"\s+", " ", text).strip() for source in sources for text in source
    )
    return [text for text in kept if len(text) > 3]


def _wordnet() -> Iterator[str]:
    for name in ("noun", "verb", "adj", "adv"):
        for line in Path(f"/usr/share/wordnet/data.{name}").read_text(encoding="utf-8").splitlines():
            if line.startswith("  "):
                continue
            head, gloss = line.split(" | ", 1)
            fields = head.split()
            words = [fields[4 + 2 * place] for place in range(int(fields[3], 16))]
            parts = re.split(r';\s*(?=")', gloss.strip())
            named = ", ".join(re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in words)
            yield f"{named}: {parts[0]}"
            yield from (part.strip(' "') for part in parts[1:])


def _dictionary(name: str) -> Iterator[str]:
    text = gzip.decompress(Path(f"/usr/share/dictd/{name}.dict.dz").read_bytes())
    title = ""
    for paragraph in re.split(r"\n\s*\n", text.decode("utf-8", "replace")):
        if paragraph.lstrip("\n")[:1].strip():
            title = paragraph.strip().splitlines()[0]
        plain = re.sub(r"[{}]", "", paragraph)
        if "(http" in plain or re.fullmatch(r"\s*\(?[\d-]+\)?\s*", plain):
            continue
        for place, sentence in enumerate(_split(plain)):
            yield f"{title}: {sentence}" if place == 0 and not sentence.startswith(title) else sentence


def _manuals() -> Iterator[str]:
    listed = subprocess.run(
        ["dpkg", "-L", "manpages", "manpages-dev"], check=True, capture_output=True, text=True
    ).stdout.split()
    for path in map(Path, sorted(listed)):
        if path.suffix != ".gz" or not path.parent.name.startswith("man") or path.is_symlink():
            continue
        roff = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        for paragraph in _paragraphs(roff):
            yield from _split(paragraph)


def _paragraphs(roff: str) -> Iterator[str]:
    words: list[str] = []
    is_code = False
    for line in roff.splitlines():
        macro = re.match(r"[.']\s*(\w*)\s*(.*)", line)
        if macro is None:
            if not is_code:
                words.append(line)
        elif macro[1] in ("EX", "nf", "SY"):
            is_code = True
        elif macro[1] in ("EE", "fi", "YS"):
            is_code = False
        elif macro[1] in ("B", "I", "BR", "IR", "BI", "IB", "RB", "RI", "SM", "SB"):
            if not is_code:
                glue = "" if len(macro[1]) == 2 else " "
                words.append(glue.join(re.findall(r'"[^"]*"|\S+', macro[2])).replace('"', ""))
        elif macro[1] in ("PP", "P", "LP", "TP", "IP", "SH", "SS", "TH"):
            yield _plain(" ".join(words))
            words = []
    yield _plain(" ".join(words))


def _plain(text: str) -> str:
    text = re.sub(r"\\f.|\\[&|^/,%]|\\s[-+]?\d", "", text)
    text = re.sub(r"\\-", "-", text)
    text = re.sub(r"\\\((.q|..)|\\\[\w+\]", lambda m: "'" if m[0].endswith("q") else " ", text)
    return text.replace("\\ ", " ").replace("\\e", "\\")


def _questions(data: Path) -> Iterator[str]:
    words: list[str] = []
    for line in (data / "stackoverflow_ner" / "train.txt").read_text(encoding="utf-8").splitlines():
        if line.strip():
            words.append(line.split("\t")[0])
            continue
        text = " ".join(words)
        words = []
        if text and not re.match(r"\w*(Question|Answer)\w* ?(:|_)", text):
            yield text[:LONGEST]


def _pairs(data: Path) -> Iterator[str]:
    for line in (data / "stsb" / "sts-train.tsv").read_text(encoding="utf-8").splitlines():
        yield from line.split("\t")[5:7]


def issues_apart(data: Path) -> list[tuple[str, str]]:
    """Summary and description of issues that are no one's duplicate."""
    folder = data / "gitbugs_hadoop"
    with (folder / "hadoop_duplicates_train.csv").open(newline="") as file:
        named = {name for row in csv.reader(file) for name in row}
    with (folder / "hadoop_bugs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [(row["Summary"], row["Description"]) for row in rows if row["Issue id"] not in named]


def _issues(data: Path) -> Iterator[str]:
    for summary, description in issues_apart(data):
        yield summary
        yield f"{summary} {description}"[:WHOLE]
        for line in description.splitlines():
            if len(line) < LONGEST:
                yield line.replace("{code}", "").replace("{noformat}", "")
            else:
                yield from _split(line)


def _split(text: str) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", re.sub(r"\s+", " ", text).strip()):
        if len(sentence.split()) > 2:
            yield sentence[:LONGEST]
