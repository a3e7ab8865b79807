"""Every command and every block of Python in the documentation, really run.

Pages are read from top to bottom, each in a copy of the project in which the quick start has been trained and the
stand-ins of the archives lie. The tables below say all that is changed: how a run is made short, and what cannot run
here and is checked in a weaker way instead. What is in no table runs as it is written.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from doc_blocks import PAGES, ROOT, Command, PythonBlock, steps
from filelock import FileLock
from forked import run_forked, run_script
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mtl import shipped
from mtl.registry import EVALUATOR, MODELS

# Run before the pages, in this order; where a page has one of them, it has been run.
FIRST = [
    'python tools/make_mini_scenes.py pascal data/PASCAL_MT --num-train 8 --num-val 4',
    'python tools/make_mini_scenes.py nyud data/NYUD_MT --num-train 8 --num-val 4 --edition atrc',
    'python tools/train.py configs/quickstart.py',
]

# Arguments that make a run short: (commands, what is appended). All that match are appended.
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
FEW_SCENES = [f'{loader}.dataset.{number}=2' for loader in LOADERS for number in ('num_train', 'num_val')]
FEW_IMAGES = [f'{loader}.dataset.indices=1' for loader in LOADERS]
SMALL_SWIN = ['allow_random_init=True', 'embed_dim=12', 'depths=[2,2,2,2]', 'num_heads=[1,2,4,8]']
ONE_EPOCH = ['--cfg-options', 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
SHORTER = [
    (
        r'(python tools/(train|test)\.py configs/|mtl (train|test) )'
        r'(quickstart|pretrain_micro_miniscenes|comparisons/task_expert_miniscenes)\S*( .*)?',
        ['--cfg-options', *FEW_SCENES],
    ),
    (r'python tools/(train|test)\.py docs/extending/examples/with_(shading|ia3).*', ['--cfg-options', *FEW_SCENES]),
    (r'python tools/(train|test)\.py docs/extending/examples/own.*', ['--cfg-options', *FEW_IMAGES]),
    (r'python tools/train\.py docs/extending/examples/(two|with_file_table).*', ONE_EPOCH),
    (r'python tools/test\.py searched\.py .*', ['--cfg-options', *FEW_SCENES]),
    (
        r'python tools/search_width\.py .*',
        ['--evaluations', '2', '--images', '2', '--cfg-options', *FEW_SCENES],
    ),
    (r'python tools/analysis/measure_latency\.py .*', ['--widths', '7', '--held-out', '2', '--repeats', '1']),
    (
        r'python tools/analysis/controllability\.py .*',
        [
            *('--evaluations', '1', '--images', '1', '--budgets', '2', '--vectors', '1'),
            *('--tasks', 'saliency', 'normals', '--cfg-options', *FEW_SCENES),  # the others learn nothing in that time
        ],
    ),
    (r'python tools/train\.py .* --work-dir .*', ONE_EPOCH),
    (
        r'python tools/train\.py configs/\S*_swin_(pascal|nyud)\S*( .*)?',
        [*ONE_EPOCH, *FEW_IMAGES, *(f'model.backbone.{option}' for option in SMALL_SWIN)],
    ),
]

# What is written otherwise: (pattern, replacement, why).
REPLACED = [
    (r'(?<=[= ])/data/', 'data/', 'a folder of the reader; here the stand-in in data/'),
    (r'--num-train 2000 --num-val 400', '--num-train 2 --num-val 2', 'minutes of rendering'),
    (r'--runs 20\b', '--runs 2', 'a measurement; here only that it measures'),
    (r'--num-train 800 --num-val 200', '--num-train 2 --num-val 2', 'minutes of rendering'),
]

# What cannot run here: its arguments are parsed by the tool itself, its config is loaded: (commands, why).
ONLY_PARSED = [
    (
        r'python tools/train\.py docs/extending/examples/with_(?!shading|ia3|file_table).*',
        'tests/docs/test_extending.py takes them through training and all that follows',
    ),
    (r'python tools/train\.py .* --amp', 'mixed precision needs a GPU'),
    (r'tools/dist_train\.sh .*', 'four GPUs; what the script starts is parsed (tests/engine runs two processes)'),
    (r'tools/slurm_train\.sh .*', 'a Slurm cluster; what the script starts is parsed'),
    (r'python tools/train\.py configs/pretrain_micro\.py', 'photographs that are not in the repository, hours long'),
    (r'python tools/misc/export_backbone\.py work_dirs/pretrain_micro/.*', 'the checkpoint of that run'),
    (r'python benchmarks/.*', 'minutes of measuring'),
    (r'python tools/misc/publish_checkpoint\.py work_dirs/pretrain_micro/.*', 'the checkpoint of that run'),
    (r'.* load_from=work_dirs/first/epoch_5\.pth', 'the run that the embedded weights came from, hours long'),
    (r'python tools/web_demo\.py( .*)?', 'a server that runs until it is stopped (tests/demo opens it in a browser)'),
    (r'.*\b(published|mtlora)\.pth.*', 'a checkpoint of the authors (tests/tools/misc converts ones of that form)'),
]

# Configs that a command before on the same page writes.
WRITTEN = ['searched.py', 'small.py']

# What belongs to the machine of the reader, and what is checked of it: (commands, check, why).
ELSEWHERE = [
    (r'python -m venv \.venv', None, 'the environment that these tests run in'),
    (r'(\.venv/bin/)?pip install .*', 'check_installation', 'the same; .ci/run types the test command in a fresh one'),
    (r'python -m pytest .*', None, 'this very run'),
    (r'(ruff|mypy|mkdocs)( .*)?', 'check_ci', 'the linters of the extras dev and docs; .ci/run runs them'),
    (r'\.ci/run', None, 'this very run'),
    (r'pre-commit install .*', None, 'the git hooks of the reader'),
    (
        r'git clone https://github\.com/bearpaw/.*',
        None,
        'a download; the address is in the message of missing data, too',
    ),
]


def first_match(table: list, text: str):
    return next((row for row in table if re.fullmatch(row[0], text)), None)


SCRIPTS = {  # by subcommand of mtl, whose code they run
    match[1].replace('_', '-'): str(path.relative_to(ROOT))
    for path in (ROOT / 'tools').rglob('*.py')
    if (match := re.search(r"run\('(\w+)'\)", path.read_text()))
}


def shortened(command: Command) -> list[str]:
    """The words that are run for a command."""
    text = command.text
    for pattern, replacement, _ in REPLACED:
        text = re.sub(pattern, replacement, text)
    words = shlex.split(text)
    if words[0] == 'mtl':
        words[:2] = ['python', SCRIPTS[words[1]]]
    for pattern, arguments in SHORTER:
        if re.fullmatch(pattern, command.text):
            words += arguments
    return words


PAGES_TO_RUN = [page for page in PAGES if steps(page)]
COMMANDS = [step for page in PAGES for step in steps(page) if isinstance(step, Command)]


# ---- quick: everything is known, parses, and refers to what exists --------------------------------------------------


def test_what_runs_first_is_documented():
    assert set(FIRST) <= {command.text for command in COMMANDS}


def test_no_row_of_a_table_is_left_over():
    texts = [command.text for command in COMMANDS]
    for pattern, *_ in SHORTER + ONLY_PARSED + ELSEWHERE:
        assert any(re.fullmatch(pattern, text) for text in texts), pattern
    for pattern, *_ in REPLACED:
        assert any(re.search(pattern, text) for text in texts), pattern


class _Parsed(BaseException):  # no error: it ends a tool once its arguments are read
    pass


def parsed(words: list[str], monkeypatch) -> argparse.Namespace:
    """What the tool's own parser makes of ``script arguments...``; nothing else of the tool runs."""
    parse_args = argparse.ArgumentParser.parse_args

    def stop(self, *arguments, **options):
        raise _Parsed(parse_args(self, *arguments, **options))

    with monkeypatch.context() as patch:
        patch.setattr(sys, 'argv', words)
        patch.setattr(argparse.ArgumentParser, 'parse_args', stop)
        patch.syspath_prepend(str(ROOT / words[0]).rsplit('/', 1)[0])
        try:
            runpy.run_path(str(ROOT / words[0]), run_name='__main__')
        except _Parsed as done:
            return done.args[0]
        except SystemExit as refused:
            pytest.fail(f'{shlex.join(words)} is refused with status {refused.code}')
    pytest.fail(f'{words[0]} parses no arguments')


def check_config(arguments: argparse.Namespace) -> None:
    """The config that was named exists, and has what ``--cfg-options`` changes."""
    name = getattr(arguments, 'config', None)
    if name is None or not str(name).endswith('.py') or name in WRITTEN:
        return
    config = Config.fromfile(shipped.find_config(name))
    for key in getattr(arguments, 'cfg_options', None) or {}:
        *parents, last = key.split('.')
        node = config
        for parent in parents:
            assert parent in node, f'{name} has no {key}'
            node = node[parent]
        assert parents or last in config, f'{name} has no {key}'


def launched(words: list[str], settings: dict[str, str], tmp_path: Path) -> list[str]:
    """The `tools/x.py arguments...` that a launch script would start: `python` and `srun` only note their words."""
    note, tools = tmp_path / 'words', tmp_path / 'bin'
    tools.mkdir(exist_ok=True)
    for name in ('python', 'srun'):
        (tools / name).write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {shlex.quote(str(note))}\n')
        (tools / name).chmod(0o755)
    environment = {**os.environ, **settings, 'PATH': f'{tools}:{os.environ["PATH"]}', 'PYTHON': str(tools / 'python')}
    subprocess.run([str(ROOT / words[0]), *words[1:]], check=True, env=environment, cwd=ROOT)
    started = note.read_text().split('\0')[:-1]
    script = next(i for i, word in enumerate(started) if word.endswith('.py'))
    return [str(Path(started[script]).relative_to(ROOT)), *started[script + 1 :]]


@pytest.mark.parametrize('command', COMMANDS, ids=[command.where for command in COMMANDS])
def test_every_command_parses_or_is_declared(command, monkeypatch, tmp_path):
    row = first_match(ELSEWHERE, command.text)
    if row is not None:
        if row[1]:
            globals()[row[1]](command)
        return
    init_default_scope('mtl')
    for folder in filter(None, command.environment.get('PYTHONPATH', '').split(':')):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    words = shortened(command)
    if words[0].endswith('.sh'):
        assert first_match(ONLY_PARSED, command.text), f'{command.where}: {command.text} is neither run nor declared'
        words = ['python', *launched(words, command.environment, tmp_path)]
    assert words[0] == 'python', f'{command.where}: {command.text} is neither run nor declared'
    assert words[1].endswith('.py'), f'{command.where}: {command.text} is neither run nor declared'
    check_config(parsed(words[1:], monkeypatch))


def check_installation(command: Command) -> None:
    """Constraints and extras that are named exist."""
    setup = ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    words = command.words
    if '-c' in words:
        assert (ROOT / words[words.index('-c') + 1]).is_file()
    what = words[words.index('-e') + 1] if '-e' in words else words[-1]
    for extra in re.findall(r'[\w-]+', ''.join(re.findall(r'\[(.*)\]', what))):
        assert extra in setup['options.extras_require'], extra


def check_ci(command: Command) -> None:
    """CI runs the same, but for the folder of the site."""
    text = command.text.partition(' --site-dir')[0]
    assert f'.venv/bin/{text}' in (ROOT / '.ci/run').read_text()


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page):
    prose = re.sub(r'```.*?```|`[^`\n]*`', '', (ROOT / page).read_text(), flags=re.DOTALL)
    for target in re.findall(r'\]\(([^)\s]+)\)', prose):
        if not re.match(r'https?:|mailto:', target):
            path, _, anchor = target.partition('#')
            file = (ROOT / page).parent / path if path else ROOT / page
            assert file.exists(), f'{page}: {target}'
            if anchor:
                titles = re.findall(r'^#+ (.*)$', file.read_text(), re.MULTILINE)
                assert anchor in [re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles], target


def test_every_tool_has_its_line():
    text = (ROOT / 'tools/README.md').read_text()
    for tool in sorted((ROOT / 'tools').rglob('*.*')):
        name = tool.relative_to(ROOT / 'tools').as_posix()
        if tool.suffix in ('.py', '.sh') and not name.startswith('_'):
            assert name in text, f'tools/README.md does not mention {name}'


# ---- slow: everything runs ------------------------------------------------------------------------------------------


@pytest.fixture(scope='session')
def prepared(tmp_path_factory):
    """A copy of the project in which :data:`FIRST` has run; one for all test processes."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base
    folder = base / 'documentation'
    with FileLock(f'{folder}.lock'):
        if not (folder / 'prepared').is_file():
            shutil.rmtree(folder, ignore_errors=True)
            copy_project(folder)
            for text in FIRST:
                run(Command('first', tuple(shlex.split(text))), folder)
            (folder / 'prepared').touch()
    return folder


def copy_project(folder: Path) -> None:
    folder.mkdir()
    for name in ('configs', 'tools', 'docs', 'checkpoints', 'benchmarks', 'mtl/demo/examples'):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns('__pycache__', '*.pth'))
    (folder / 'data').mkdir()


def run(command: Command, folder: Path) -> None:
    """Run a command in the copy; a failure shows the end of what it printed."""
    words, log = shortened(command), folder / 'log.txt'
    environment = {'HF_HUB_OFFLINE': '1', **command.environment}
    if 'PYTHONPATH' in environment:
        environment['PYTHONPATH'] = str(folder / environment['PYTHONPATH'])
    status = run_script(words[1:], folder, log, environment)
    if status != 0:
        tail = '\n'.join(log.read_text(errors='replace').splitlines()[-40:])
        pytest.fail(f'{command.where}: status {status} of\n  {shlex.join(words)}\n{tail}')


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES_TO_RUN)
def test_page_runs(page, prepared, tmp_path):
    folder = Path(shutil.copytree(prepared, tmp_path / 'project'))
    scripts: list[PythonBlock] = []
    for step in steps(page):
        if isinstance(step, PythonBlock):
            kind = kind_of(step)
            if kind == 'script':
                scripts.append(step)
                run_python(scripts, folder)
            elif kind == 'copy':
                whole = (ROOT / step.marker.removeprefix('part of ')).read_text()
                same = step.text in whole if step.marker.startswith('part of ') else step.text == whole
                assert same, f'{step.where} differs from {step.marker}'
            else:
                check_config_block(step, kind)
        elif not (step.text in FIRST or first_match(ONLY_PARSED + ELSEWHERE, step.text)):
            run(step, folder)


def kind_of(block: PythonBlock) -> str:
    """``copy`` of (part of) the file in the comment before it, ``config``, ``fragment`` of a config, or ``script``."""
    if (ROOT / block.marker.removeprefix('part of ')).is_file():
        return 'copy'
    tree = ast.parse(block.text)
    if any(isinstance(node, ast.Assign) and node.targets[0].id == '_base_' for node in tree.body if is_setting(node)):
        return 'config'
    return 'fragment' if all(is_setting(node) for node in tree.body) else 'script'


def is_setting(node: ast.stmt) -> bool:
    """Whether a statement only gives a name to a literal or a ``dict(...)``."""
    if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        return False
    calls = [part.func for part in ast.walk(node.value) if isinstance(part, ast.Call)]
    return isinstance(node.value, (ast.Call, ast.Dict, ast.List, ast.Constant, ast.Attribute, ast.Name)) and all(
        isinstance(call, ast.Name) and call.id == 'dict' for call in calls
    )


def run_python(scripts: list[PythonBlock], folder: Path) -> None:
    """Run the last block of a page; blocks before it have defined names."""

    def script() -> None:
        names: dict = {'__name__': '__main__'}
        for block in scripts:
            exec(compile(block.text, block.where, 'exec'), names)

    log = folder / 'log.txt'
    status = run_forked(script, folder, log, {'HF_HUB_OFFLINE': '1'}, seconds=900)
    assert status == 0, f'{scripts[-1].where}\n{log.read_text()}'


def check_config_block(block: PythonBlock, kind: str) -> None:
    """A whole config is loaded as a file of `configs/`; a fragment is merged into the quick start. Then both build."""
    init_default_scope('mtl')
    if kind == 'config':
        path = ROOT / 'configs' / f'_{re.sub(r"[^a-z0-9]", "_", block.where.lower())}.py'
        path.write_text(block.text)
        try:
            config = Config.fromfile(path)
        finally:
            path.unlink()
    else:
        config = Config.fromfile(ROOT / 'configs/quickstart.py')
        names = copy.deepcopy(config._cfg_dict.to_dict())
        before = set(names)
        exec(compile(block.text, block.where, 'exec'), names)
        changed = {node.targets[0].id for node in ast.parse(block.text).body}
        assert changed <= before, f'{block.where}: the quick start has no {", ".join(changed - before)}'
        config.merge_from_dict({name: names[name] for name in changed})
    config.model.backbone.update(pretrained='checkpoint')
    MODELS.build(config.model)
    EVALUATOR.build(config.val_evaluator)
