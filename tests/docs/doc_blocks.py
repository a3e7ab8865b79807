"""What the documentation tells people to type: fenced blocks, and commands within sentences, in order."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [
        *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md')),
        *(ROOT / 'docs').rglob('*.md'),
        *(ROOT / folder / 'README.md' for folder in ('data', 'tools', 'checkpoints', 'benchmarks')),
    ]
    if page.is_file()
)
FENCE = re.compile(r'^```(\w*)\s*$')
INLINE = re.compile(r'`((?:[A-Z]+=\S+ )*python tools/[^`]+)`')
PLACEHOLDER = re.compile(r'\b[A-Z][A-Z_]{2,}\b')


@dataclass(frozen=True)
class Command:
    """One command line, without comment and continuation.

    Attributes:
        where: page and line.
        words: what the shell makes of it, without leading assignments.
        environment: the assignments.
    """

    where: str
    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The words as one line, with `python` for whatever interpreter the page names."""
        return shlex.join(self.words)


@dataclass(frozen=True)
class PythonBlock:
    """A block of Python; ``marker`` is the HTML comment before it, if any."""

    where: str
    text: str
    marker: str = ''


def steps(page: str) -> list[Command | PythonBlock]:
    """Everything on a page that can be executed, from top to bottom."""
    found, block, opened, language, marker = [], [], 0, None, ''
    for number, line in enumerate((ROOT / page).read_text().splitlines(), 1):
        fence = FENCE.match(line.strip())
        if language is None and fence:
            language, opened, block = fence[1], number, []
        elif language is not None and line.strip() == '```':
            if language == 'bash':
                found += commands('\n'.join(block), page, opened + 1)
            elif language == 'python':
                found.append(PythonBlock(f'{page}:{opened}', '\n'.join(block) + '\n', marker))
            language, marker = None, ''
        elif language is not None:
            block.append(line)
        else:
            for inline in INLINE.findall(line):
                if not PLACEHOLDER.search(re.sub(r'\b[A-Z_]+=', '', inline)):
                    found += commands(inline, page, number)
            if line.strip():
                marker = line.strip()[4:-3].strip() if line.strip().startswith('<!--') else ''
    return found


def commands(text: str, page: str, first_line: int) -> list[Command]:
    """The commands of a block of bash; ``&&`` joins several."""
    found, number = [], first_line
    for line in re.sub(r'\\\n\s*', r'\0', text).split('\n'):
        for part in re.split(r'\s&&\s', line.replace('\0', ' ')):
            words = shlex.split(part, comments=True)
            environment = {}
            while words and re.match(r'^[A-Z_]+=', words[0]):
                name, _, value = words.pop(0).partition('=')
                environment[name] = value
            if words:
                words[0] = re.sub(r'^(\.venv/bin/)?(python3?|mtl)$', r'\2', words[0]).replace('python3', 'python')
                found.append(Command(f'{page}:{number}', tuple(words), environment))
        number += 1 + line.count('\0')
    return found
