"""Metadata is in setup.cfg. Here: a wheel holds configs and weights, which stand beside the package in a checkout."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithShippedFiles(build_py):
    """Copies them to ``mtl/shipped`` of what is built, where ``mtl/shipped.py`` looks for them."""

    def run(self):
        super().run()
        if self.editable_mode:
            return
        for folder, pattern in (('configs', '**/*.py'), ('checkpoints', '*.safetensors')):
            for file in sorted((ROOT / folder).glob(pattern)):
                target = Path(self.build_lib, 'mtl', 'shipped', file.relative_to(ROOT))
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


setup(cmdclass={'build_py': BuildWithShippedFiles})
