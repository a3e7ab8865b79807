"""Reads this project's docstrings for mkdocstrings: Sphinx's roles, and several parameters with one description."""

import re

import griffe

ROLE = re.compile(r':(?:attr|class|data|func|meth|mod):`([^`]+)`')
KNOWN = ('torch.', 'mmengine.', 'numpy.', 'timm.', 'mmseg.')  # other packages, which have sites of their own
SEVERAL = re.compile(r'^( {4})(\w+(?:, \w+)+): ((?:.*)(?:\n {6,}.*)*)', re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites docstrings as mkdocstrings reads them.

    ``:func:`name` `` becomes a link. The name is looked up from where the docstring stands; a leading dot means the
    package of its module, as in imports. What has no docstring has no place on the site and stays code without a link,
    and so do names of other packages. A name that does not exist becomes a link that the build refuses.

    ``a, b: description`` becomes two parameters with that description.
    """

    def on_package(self, *, pkg: griffe.Module, **_) -> None:
        self._walk(pkg, pkg)

    def _walk(self, obj: griffe.Object, package: griffe.Module) -> None:
        if obj.docstring:
            text = ROLE.sub(lambda match: _link(match[1], obj, package), obj.docstring.value)
            obj.docstring.value = SEVERAL.sub(_one_each, text)
        for member in obj.members.values():
            if not member.is_alias:
                self._walk(member, package)


def _one_each(match: re.Match) -> str:
    indent, names, description = match.groups()
    return '\n'.join(f'{indent}{name}: {description}' for name in names.split(', '))


def _link(name: str, scope: griffe.Object, package: griffe.Module) -> str:
    path = _absolute(name, scope, package)
    shown = f'`{name.lstrip(".")}`'
    if path != package.path and not path.startswith(f'{package.path}.'):
        return shown if name.startswith(KNOWN) else f'[{shown}][{path}]'
    target = package
    for part in path.split('.')[1:]:
        target = target.all_members.get(part)
        if target is None:
            return f'[{shown}][{path}]'
        target = target.final_target if target.is_alias else target
    return f'[{shown}][{target.path}]' if _on_site(target) else shown


def _absolute(name: str, scope: griffe.Object, package: griffe.Module) -> str:
    if name.startswith('.'):
        module = scope if scope.is_module else scope.module
        return f'{(module if module.is_init_module else module.parent).path}{name}'
    first, dot, rest = name.partition('.')
    owner = next((at for at in (scope, scope.parent) if at is not None and at.is_class), None)
    if owner is not None and first in owner.all_members:  # inherited ones, too
        return f'{owner.path}.{name}'
    try:
        return scope.resolve(first) + dot + rest
    except griffe.NameResolutionError:
        return name


def _on_site(obj: griffe.Object) -> bool:
    """Whether it is public and described, and what holds it as well."""
    hidden = obj.name.startswith('_') or obj.path == 'mtl.cli' or not obj.has_docstrings
    return not hidden and (obj.parent is None or _on_site(obj.parent))
