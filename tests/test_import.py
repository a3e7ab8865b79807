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
