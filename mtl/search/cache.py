"""Evaluations on disk, so that an interrupted search goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from mtl.models.slimmable.width import WidthConfig

Results = dict[str, float]


class EvaluationCache:
    """A file of one line a width; each is written as soon as it is known.

    Args:
        folder: where the file ``evaluations-<fingerprint>.jsonl`` is or will be.
        fingerprint: of everything results depend on besides the width; another one has another file.
        evaluate: results of a width that is not in the file.

    Attributes:
        known: results by width.
        asked: the widths that were asked for, in order, whether they were in the file or not.
        path: the file.
    """

    def __init__(self, folder: str | Path, fingerprint: str, evaluate: Callable[[WidthConfig], Results]) -> None:
        self.path, self.evaluate = Path(folder) / f'evaluations-{fingerprint}.jsonl', evaluate
        self.known: dict[WidthConfig, Results] = {}
        self.asked: dict[WidthConfig, None] = {}
        text = self.path.read_text() if self.path.is_file() else ''
        whole = text[: text.rfind('\n') + 1]  # a line may have been cut off
        for line in whole.splitlines():
            entry = json.loads(line)
            self.known[WidthConfig.from_dict(entry['width'])] = entry['results']
        if whole != text:
            self.path.write_text(whole)

    def __call__(self, width: WidthConfig) -> Results:
        """Results of ``width``, computed at most once."""
        self.asked[width] = None
        if width not in self.known:
            results = self.evaluate(width)
            with open(self.path, 'a') as file:
                file.write(json.dumps({'width': width.to_dict(), 'results': results}) + '\n')
            self.known[width] = results
        return self.known[width]
