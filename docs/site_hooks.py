"""What the site holds beside the files of ``docs/``: pages from elsewhere in the repository, and the API reference.

Links between pages are written as they work in the repository. Here they are rewritten for the site: a link to a file
that the site does not hold becomes plain text, and one that leads nowhere is left for mkdocs to refuse.
"""

import ast
import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
PAGES = {  # on the site: in the repository
    'index.md': 'README.md',
    'changelog.md': 'CHANGELOG.md',
    'contributing.md': 'CONTRIBUTING.md',
    'checkpoints.md': 'checkpoints/README.md',
    'data.md': 'data/README.md',
    'tools.md': 'tools/README.md',
}
INDEX = 'reference/index.md'
ON_SITE = {source: page for page, source in PAGES.items()}
LINK = re.compile(r'(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)')
NOT_DOCUMENTED = {'mtl.cli'}  # the command line: tools/README.md


def on_config(config):
    """The pages of the reference stand last in the navigation."""
    config.nav.append({'API reference': sorted(reference(), key=lambda page: (page != INDEX, page))})
    return config


def on_files(files, config):
    """Add the pages of :data:`PAGES` and those of the reference."""
    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text()))
    for page, text in reference().items():
        files.append(File.generated(config, page, content=text))
    return files


def reference() -> dict[str, str]:
    """``{page: text}``: a page per package with its public modules, and an index of the packages."""
    pages, lines = {}, ['# API reference', '', 'A page per package, made from its docstrings.', '']
    for init in sorted((ROOT / 'mtl').rglob('__init__.py')):
        folder = init.parent
        package = '.'.join(folder.relative_to(ROOT).parts)
        if any(package == name or package.startswith(f'{name}.') for name in NOT_DOCUMENTED):
            continue
        modules = [f'{package}.{file.stem}' for file in sorted(folder.glob('*.py')) if not file.stem.startswith('_')]
        title = f'::: {package}\n    options: {{heading_level: 1, members: false}}'
        blocks = [title, *(f'::: {module}' for module in modules)]
        pages[f'reference/{package}.md'] = '\n\n'.join(blocks) + '\n'
        about = ast.get_docstring(ast.parse(init.read_text())) or ''
        lines.append(f'- [{package}]({package}.md): {about.partition(chr(10))[0]}')
    pages[INDEX] = '\n'.join(lines) + '\n'
    return pages


def on_page_markdown(markdown, page, config, files):
    """Rewrite links for the site."""
    source = PAGES.get(page.file.src_uri, f'docs/{page.file.src_uri}')
    blocks = re.split(r'(^```.*?^```$|`[^`\n]*`)', markdown, flags=re.DOTALL | re.MULTILINE)
    blocks[::2] = [LINK.sub(lambda match: site_link(match, source, page.file.src_uri, files), b) for b in blocks[::2]]
    return ''.join(blocks)


def site_link(match: re.Match, source: str, page: str, files) -> str:
    picture, text, target = match.groups()
    if re.match(r'\w+:|#', target) or source.startswith('docs/reference/'):
        return match[0]
    path, _, anchor = target.partition('#')
    in_repository = os.path.normpath(PurePosixPath(source).parent / path)
    on_site = ON_SITE.get(in_repository, in_repository.removeprefix('docs/'))
    if files.get_file_from_path(on_site) is None:
        return text if (ROOT / in_repository).exists() and not picture else match[0]
    link = os.path.relpath(on_site, PurePosixPath(page).parent)
    return f'{picture}[{text}]({link}{"#" * bool(anchor)}{anchor})'
