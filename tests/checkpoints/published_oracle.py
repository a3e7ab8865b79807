"""The published MTLoRA network, derived again: slowly, from the paper and the names in its checkpoints alone.

One window, one head, one task at a time, no class of the package and none of timm's.
"""

import torch
import torch.nn.functional as F


def published_state(depths, heads, width, tasks, ranks, mode='matrix', plus=False, window=7, seed=0):
    """A random state dict with the published keys, in double precision. ``ranks`` is (shared, task)."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def add(key, *shape, mean=0.0):
        state[key] = mean + 0.2 * torch.randn(shape, generator=generator, dtype=torch.double)

    def norm(key, size):
        add(f'{key}.weight', size, mean=1.0)
        add(f'{key}.bias', size)

    def linear(key, n_in, n_out, tasks=(), bias=True):
        add(f'{key}.linear.weight', n_out, n_in)
        if bias:
            add(f'{key}.linear.bias', n_out)
        if mode == 'addition' and tasks:
            norm(f'{key}.lora_norm', n_out)
        else:
            add(f'{key}.lora_shared_A', ranks[0], n_in)
            add(f'{key}.lora_shared_B', n_out, ranks[0])
        for task in tasks:
            add(f'{key}.lora_tasks_A.{task}', ranks[1], n_in)
            add(f'{key}.lora_tasks_B.{task}', n_out, ranks[1])

    add('patch_embed.proj.weight', width, 3, 4, 4)
    add('patch_embed.proj.bias', width)
    norm('patch_embed.norm', width)
    for i, (depth, head) in enumerate(zip(depths, heads, strict=True)):
        size = width * 2**i
        for j in range(depth):
            block, own = f'layers.{i}.blocks.{j}', tasks if j == depth - 1 else ()
            norm(f'{block}.norm1', size)
            add(f'{block}.attn.relative_position_bias_table', (2 * window - 1) ** 2, head)
            linear(f'{block}.attn.qkv', size, 3 * size)
            linear(f'{block}.attn.proj', size, size, own)
            norm(f'{block}.norm2', size)
            linear(f'{block}.mlp.fc1', size, 4 * size, own)
            linear(f'{block}.mlp.fc2', 4 * size, size, own)
        if i < len(depths) - 1:
            norm(f'layers.{i}.downsample.norm', 4 * size)
            if plus:
                linear(f'layers.{i}.downsample.reduction', 4 * size, 2 * size, bias=False)
            else:
                add(f'layers.{i}.downsample.reduction.weight', 2 * size, 4 * size)
    return state


class PublishedNetwork:
    """Stage outputs from a published state dict."""

    def __init__(self, state, depths, heads, tasks, mode, scale, task_scale, window=7):
        self.state, self.depths, self.heads, self.tasks = state, depths, heads, tasks
        self.mode, self.scale, self.task_scale, self.window = mode, scale, task_scale, window

    def __call__(self, image):
        """``[(shared, {task: features})]`` of every stage, each ``[B, H, W, C]``, after patch merging."""
        p = self.state
        x = F.conv2d(image, p['patch_embed.proj.weight'], p['patch_embed.proj.bias'], stride=4).permute(0, 2, 3, 1)
        x = self.norm('patch_embed.norm', x)
        levels = []
        for i, depth in enumerate(self.depths):
            for j in range(depth):
                x, streams = self.block(i, j, x)
            if i < len(self.depths) - 1:
                x, streams = self.merge(i, x), {task: self.merge(i, value) for task, value in streams.items()}
            levels.append((x, streams))
        return levels

    def norm(self, key, x):
        mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
        return (x - mean) / torch.sqrt(variance + 1e-5) * self.state[f'{key}.weight'] + self.state[f'{key}.bias']

    def linear(self, key, x, streams=None):
        """Shared output and task outputs; ``streams`` are the tasks' own inputs, if there are any yet."""
        p = self.state
        y = x @ p[f'{key}.linear.weight'].T + p.get(f'{key}.linear.bias', 0.0)
        outputs = {}
        for task in self.tasks:
            if f'{key}.lora_tasks_A.{task}' in p:
                own = streams[task] if streams else x
                update = own @ p[f'{key}.lora_tasks_A.{task}'].T @ p[f'{key}.lora_tasks_B.{task}'].T
                outputs[task] = y + self.task_scale * update
        if f'{key}.lora_norm.weight' in p:
            return y + self.norm(f'{key}.lora_norm', sum(outputs.values())), outputs
        shared = self.scale * (x @ p[f'{key}.lora_shared_A'].T @ p[f'{key}.lora_shared_B'].T)
        if self.mode == 'matrixv2':
            outputs = {task: value + shared for task, value in outputs.items()}
        return y + shared, outputs

    def block(self, i, j, x):
        key = f'layers.{i}.blocks.{j}'
        attended = self.attention(i, j, self.norm(f'{key}.norm1', x))
        projected, streams = self.linear(f'{key}.attn.proj', attended)
        streams = {task: x + value for task, value in streams.items()}
        x = x + projected
        normed = {task: self.norm(f'{key}.norm2', value) for task, value in streams.items()}
        hidden, hiddens = self.linear(f'{key}.mlp.fc1', self.norm(f'{key}.norm2', x), normed)
        hiddens = {task: F.gelu(value) for task, value in hiddens.items()}
        output, outputs = self.linear(f'{key}.mlp.fc2', F.gelu(hidden), hiddens)
        return x + output, {task: streams[task] + value for task, value in outputs.items()}

    def attention(self, i, j, x):
        """Attention within shifted windows, before its projection."""
        size, window = x.shape[1], self.window
        shift = window // 2 if j % 2 and size > window else 0
        # the region a pixel belongs to after the shift: only pixels of one region see each other
        edge = torch.zeros(size, dtype=torch.long)
        if shift:
            edge[size - window : size - shift], edge[size - shift :] = 1, 2
        region = edge[:, None] * 3 + edge[None, :]
        x = torch.roll(x, (-shift, -shift), (1, 2))
        rows = []
        for top in range(0, size, window):
            row = []
            for left in range(0, size, window):
                part = slice(top, top + window), slice(left, left + window)
                row.append(self.window_attention(i, j, x[:, part[0], part[1]], region[part].flatten()))
            rows.append(torch.cat(row, 2))
        return torch.roll(torch.cat(rows, 1), (shift, shift), (1, 2))

    def window_attention(self, i, j, x, region):
        key, heads, window = f'layers.{i}.blocks.{j}.attn', self.heads[i], self.window
        batch, channels = len(x), x.shape[-1]
        q, k, v = self.linear(f'{key}.qkv', x.flatten(1, 2))[0].split(channels, -1)
        at = torch.arange(window * window)
        dy = at[:, None] // window - at[None, :] // window + window - 1
        dx = at[:, None] % window - at[None, :] % window + window - 1
        bias = self.state[f'{key}.relative_position_bias_table'][dy * (2 * window - 1) + dx]
        apart = torch.where(region[:, None] == region[None, :], 0.0, -100.0)
        size = channels // heads
        outputs = []
        for h in range(heads):
            of_head = slice(h * size, (h + 1) * size)
            scores = q[..., of_head] @ k[..., of_head].mT / size**0.5 + bias[..., h] + apart
            outputs.append(scores.softmax(-1) @ v[..., of_head])
        return torch.cat(outputs, -1).view(batch, window, window, channels)

    def merge(self, i, x):
        corners = [x[:, dy::2, dx::2] for dx in (0, 1) for dy in (0, 1)]
        x = self.norm(f'layers.{i}.downsample.norm', torch.cat(corners, -1))
        key = f'layers.{i}.downsample.reduction'
        return x @ self.state[f'{key}.weight'].T if f'{key}.weight' in self.state else self.linear(key, x)[0]
