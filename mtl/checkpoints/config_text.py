"""Reading the config that a checkpoint carries as text, without running it."""

from __future__ import annotations

import ast
import sys
from typing import IO, Any

import yaml
from mmengine.config import Config
from mmengine.fileio import YamlHandler, register_handler
from mmengine.utils import import_modules_from_strings

from mtl.checkpoints.known_types import unknown_type
from mtl.checkpoints.trust import files_are_trusted
from mtl.errors import ExplainedError


class ConfigTextError(ExplainedError, ValueError):
    """A text that is more than values, or less than a config."""


@register_handler(['yaml', 'yml'])
class SafeYamlHandler(YamlHandler):
    """MMEngine's YAML files, without the tags that make objects of any class."""

    def load_from_fileobj(self, file: IO[str], **kwargs: Any) -> Any:
        return super().load_from_fileobj(file, **{**kwargs, 'Loader': yaml.SafeLoader})


def read_config_text(text: str) -> Config:
    """The config of a text as ``Config.pretty_text`` writes it: assignments of plain values.

    MMEngine's ``Config.fromstring`` executes the text. A checkpoint may come from anybody, so here it is only parsed:
    names, numbers, strings, lists, tuples, dicts and ``dict(...)``. Every ``type`` in it must be registered, see
    :mod:`mtl.checkpoints.known_types`. Modules in ``custom_imports`` are imported, and other types built, only where
    files are trusted (``--trust``) or the modules are imported already.

    Raises:
        ConfigTextError: anything else in the text, or a module that may not or cannot be imported.
    """
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        raise ConfigTextError(f'its config cannot be parsed ({error}).') from error
    values = {}
    for statement in statements:
        if not isinstance(statement, ast.Assign):
            raise _refused(statement)
        for name in statement.targets:
            if not isinstance(name, ast.Name):
                raise _refused(statement)
            values[name.id] = _value(statement.value)
    config = Config(values)
    _import_what_it_asks_for(config)
    unknown = None if files_are_trusted() else unknown_type(values)
    if unknown:
        raise ConfigTextError(
            f'its config would build {unknown}, which neither this package nor MMEngine nor mmsegmentation registers, '
            'which could be any code. If you know where the file comes from, add --trust.'
        )
    return config


def _import_what_it_asks_for(config: Config) -> None:
    asked = config.get('custom_imports') or {}
    names = asked.get('imports', []) if isinstance(asked, dict) else asked
    names = [names] if isinstance(names, str) else list(names)
    new = [name for name in names if name not in sys.modules]
    if not new:
        return
    if not files_are_trusted():
        raise ConfigTextError(
            f'its config would import {", ".join(map(repr, new))} (custom_imports), and importing a module runs it. If '
            'you know where the file comes from, add --trust.'
        )
    try:
        import_modules_from_strings(new, allow_failed_imports=False)
    except ImportError as error:
        raise ConfigTextError(
            f'its config imports modules of its own, and Python does not find them here ({error}). Run from the '
            'folder that holds them, or add it to PYTHONPATH.'
        ) from error


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        result: dict = {}
        for argument in node.args:
            result.update(_value(argument))
        for keyword in node.keywords:
            result.update(_value(keyword.value) if keyword.arg is None else {keyword.arg: _value(keyword.value)})
        return result
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if key is not None]  # `None` stands for `**others`
        if len(keys) == len(node.values):
            return {_value(key): _value(value) for key, value in zip(keys, node.values, strict=True)}
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
        return kind(_value(item) for item in node.elts)
    if isinstance(node, ast.Name) and node.id in ('inf', 'nan'):
        return float(node.id)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise _refused(node) from error


def _refused(node: ast.AST) -> ConfigTextError:
    found = ' '.join(ast.unparse(node).split())[:80]
    return ConfigTextError(f'its config holds more than values, and is not run: {found}')
