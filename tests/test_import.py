"""What ``import mtl`` costs and prepares, in processes of their own."""

import json
import subprocess
import sys


def modules_after(code: str) -> set[str]:
    code = f'{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))'
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_package_alone_imports_nothing_heavy():
    assert not modules_after('import mtl') & {'torch', 'torchvision', 'timm', 'mmengine', 'cv2', 'numpy'}


def test_timm_can_be_imported_after_it():
    """Beside a torch that torchvision was not built for, too."""
    assert {'torch', 'torchvision', 'timm'} <= modules_after('import mtl, timm')
    assert {'torch', 'torchvision', 'timm'} <= modules_after('import mtl, torch, timm')


def test_the_inferencer_imports_nothing_of_training():
    """Networks derive from classes that come with the runner and optimizers: imported when one is loaded."""
    loaded = modules_after('from mtl.apis import InputError, MultiTaskInferencer')
    heavy = {'mmengine.runner', 'mmengine.optim', 'mmengine.hooks', 'mmengine.model', 'mmengine.infer', 'mtl.engine'}
    assert not loaded & {*heavy, 'mmengine.visualization', 'tensorboard', 'transformers', 'timm', 'mmcv'}


def test_what_visualization_imports_later():
    """By name and through the registries."""
    names = 'MultiTaskTensorboardBackend', 'MultiTaskVisualizer'
    assert 'mmengine.visualization' not in modules_after('import mtl.visualization')
    modules_after(
        'from mtl.registry import VISBACKENDS, VISUALIZERS\n'
        f'backend, visualizer = VISBACKENDS.get({names[0]!r}), VISUALIZERS.get({names[1]!r})\n'
        'from mtl import visualization\n'
        f'assert backend is visualization.{names[0]}\n'
        f'assert visualizer is visualization.{names[1]}\n'
        'assert not hasattr(visualization, "other")'
    )
