"""Reading the config that a checkpoint carries as text, without running it."""

from __future__ import annotations

import ast

from mmengine.config import Config
from mmengine.utils import import_modules_from_strings


class ConfigTextError(ValueError):
    """A text that is more than values, or less than a config."""


def read_config_text(text: str) -> Config:
    """The config of a text as ``Config.pretty_text`` writes it: assignments of plain values.

    MMEngine's ``Config.fromstring`` executes the text. A checkpoint may come from anybody, so here it is only parsed:
    names, numbers, strings, lists, tuples, dicts and ``dict(...)``. Modules in ``custom_imports`` are imported, from
    where Python finds them on this machine.

    Raises:
        ConfigTextError: anything else in the text, or a module that cannot be imported.
    """
    try:
        statements = ast.parse(text).body
    except SyntaxError as error:
        raise ConfigTextError(f'its config cannot be parsed ({error}).') from error
    values = {}
    for statement in statements:
        if not isinstance(statement, ast.Assign) or not all(isinstance(name, ast.Name) for name in statement.targets):
            raise _refused(statement)
        for name in statement.targets:
            values[name.id] = _value(statement.value)
    config = Config(values)
    if config.get('custom_imports'):
        try:
            import_modules_from_strings(**config.custom_imports)
        except ImportError as error:
            raise ConfigTextError(
                f'its config imports modules of its own, and Python does not find them here ({error}). Run from the '
                'folder that holds them, or add it to PYTHONPATH.'
            ) from error
    return config


def _value(node: ast.expr):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict':
        result: dict = {}
        for argument in node.args:
            result.update(_value(argument))
        for keyword in node.keywords:
            result.update(_value(keyword.value) if keyword.arg is None else {keyword.arg: _value(keyword.value)})
        return result
    if isinstance(node, ast.Dict) and None not in node.keys:
        return {_value(key): _value(value) for key, value in zip(node.keys, node.values, strict=True)}
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
