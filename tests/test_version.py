"""One version, wherever it is written; and linters of one version, wherever they run."""

import re
from configparser import ConfigParser
from pathlib import Path

import yaml

import mtl

ROOT = Path(__file__).resolve().parents[1]


def test_the_newest_release_of_the_changelog_and_the_citation_are_of_this_version():
    changelog = (ROOT / 'CHANGELOG.md').read_text()
    released = re.findall(r'^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$', changelog, re.MULTILINE)
    assert released[0] == mtl.__version__
    assert yaml.safe_load((ROOT / 'CITATION.cff').read_text())['version'] == mtl.__version__


def test_pre_commit_runs_the_linters_of_the_extras():
    setup = ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    extras = {name: text.split() for name, text in setup['options.extras_require'].items()}
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos'][0]['hooks']
    pinned = [each for hook in hooks for each in hook.get('additional_dependencies', ())]
    assert pinned, 'no hook states a version'
    assert set(pinned) <= set(extras['dev'])
    assert {each for each in extras['docs'] if each.startswith('ruff')} <= set(extras['dev'])


def test_every_guide_is_in_the_navigation_of_the_site():
    entries = []

    def walk(node):
        if isinstance(node, str):
            entries.append(node)
        else:
            for each in node.values() if isinstance(node, dict) else node:
                walk(each)

    walk(yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav'])
    guides = {str(page.relative_to(ROOT / 'docs')) for page in (ROOT / 'docs').rglob('*.md')}
    assert guides <= set(entries), 'add these to nav in mkdocs.yml'
