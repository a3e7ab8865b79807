"""There is a usable checkpoint at every moment."""

from collections import deque
from pathlib import Path
from types import SimpleNamespace

from mmengine.fileio import LocalBackend
from mmengine.logging import MessageHub

from mtl.engine import AtomicCheckpointHook


def test_the_outdated_checkpoint_goes_after_the_new_one_is_there(tmp_path):
    present = []

    def save(out_dir, filename, **kwargs):
        present.append(sorted(path.name for path in Path(out_dir).glob('*.pth')))
        Path(out_dir, filename).touch()

    runner = SimpleNamespace(
        work_dir=str(tmp_path), message_hub=MessageHub.get_instance(str(tmp_path)), save_checkpoint=save
    )
    hook = AtomicCheckpointHook(interval=1, max_keep_ckpts=1)
    hook.out_dir, hook.file_backend, hook.keep_ckpt_ids = str(tmp_path), LocalBackend(), deque(maxlen=1)
    for step in (1, 2, 2, 3):  # a step may be saved twice, the second time with a new best score in it
        hook._save_checkpoint_with_step(runner, step, meta={})
    assert present == [[], ['epoch_1.pth'], ['epoch_2.pth'], ['epoch_2.pth']]
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_3.pth')
