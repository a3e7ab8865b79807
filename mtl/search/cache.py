"""Evaluations on disk, so that an interrupted search goes on where it was."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Callable
from pathlib import Path

from mmengine.logging import print_log

from mtl.models.slimmable.width import WidthConfig
from mtl.writing import write_atomically

Results = dict[str, float]


class EvaluationCache:
    """A file of one line a width; each is written as soon as it is known, with a checksum.

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
        text = self.path.read_text(errors='replace') if self.path.is_file() else ''
        whole = text[: text.rfind('\n') + 1]  # a line may have been cut off
        good = []
        for line in whole.splitlines():
            try:
                entry = json.loads(line)
                if entry.pop('crc') != _checksum(entry):
                    raise ValueError('its checksum does not fit')
                self.known[WidthConfig.from_dict(entry['width'])] = dict(entry['results'])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                message = f'A line of {self.path} is damaged ({error}); its width will be evaluated again.'
                print_log(message, 'current', logging.WARNING)
            else:
                good.append(f'{line}\n')
        if ''.join(good) != text:
            write_atomically(self.path, ''.join(good).encode())

    def __call__(self, width: WidthConfig) -> Results:
        """Results of ``width``, computed at most once."""
        self.asked[width] = None
        if width not in self.known:
            results = self.evaluate(width)
            entry = {'width': width.to_dict(), 'results': results}
            with open(self.path, 'a') as file:
                file.write(json.dumps({**entry, 'crc': _checksum(entry)}) + '\n')
            self.known[width] = results
        return self.known[width]


def _checksum(entry: dict) -> int:
    return zlib.crc32(json.dumps(entry).encode())
