"""Saving so that there is a usable checkpoint at every moment."""

from __future__ import annotations

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook

from mtl.checkpoints.adapters_only import leave_out_base, put_back_base
from mtl.checkpoints.finite import check_finite
from mtl.engine.resuming import prepare_loaded
from mtl.engine.unwrapping import unwrapped
from mtl.registry import HOOKS


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's hook with files written atomically, and the outdated one removed after the new one is there.

    MMEngine removes first and then writes in place: a kill in between leaves nothing to resume from.

    Args:
        adapters_only: save what trains (adapters, decoders, heads, norms ...) and the buffers, without the frozen base,
            and a fingerprint of the base to tell it by. Such a checkpoint is completed where it is loaded.
        kwargs: see ``mmengine.hooks.CheckpointHook``.
    """

    def __init__(self, adapters_only: bool = False, **kwargs) -> None:
        super().__init__(backend_args=dict(backend='atomic'), **kwargs)
        self.adapters_only = adapters_only

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Leave the frozen base out, if asked to.

        Raises:
            NotFiniteError: a weight is inf or NaN; nothing is written.
        """
        check_finite(
            checkpoint['state_dict'],
            'The network',
            f'Nothing was saved; the last checkpoint is {self.last_ckpt or "none yet"}. Lower the rate '
            '(optim_wrapper.optimizer.lr) and go on with --resume.',
        )
        if self.adapters_only:
            leave_out_base(unwrapped(runner.model), checkpoint)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Complete a checkpoint without its base, and see that it fits what is asked.

        Raises:
            NotFiniteError: a weight is inf or NaN.
            MisfitError: nothing in it belongs to the network.
        """
        put_back_base(unwrapped(runner.model), checkpoint)
        prepare_loaded(runner, checkpoint)

    def _save_checkpoint_with_step(self, runner, step: int, meta: dict) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.keep_ckpt_ids.popleft()
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        filename = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir, filename))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            filename,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            self.file_backend.put_text(self.last_ckpt, Path(runner.work_dir, 'last_checkpoint'))
            if outdated is not None:
                Path(self.out_dir, self.filename_tmpl.format(outdated)).unlink(missing_ok=True)
