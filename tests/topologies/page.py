"""docs/topologies.md: what it tells its readers to write and to run, section by section."""

import re
import shlex

from docs.generate import ROOT

PAGE = ROOT / "docs/topologies.md"
TEXT = PAGE.read_text(encoding="utf-8")
REDIS = "Redis"


def section(title: str) -> str:
    found = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert found, title
    return found


def block(title: str, language: str) -> str:
    """The code of a section in one language; "" where it has none."""
    return "\n".join(re.findall(f"```{language}\n(.*?)```", section(title), re.DOTALL))


def commands(title: str) -> list[list[str]]:
    return [shlex.split(line) for line in block(title, "console").splitlines()]


def sections() -> list[str]:
    """The titles of those that say what to run."""
    titles = re.findall("^## (.+)", TEXT, re.MULTILINE)
    return [title for title in titles if commands(title)]
