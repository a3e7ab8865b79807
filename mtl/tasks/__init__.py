"""What a task is: one class per file, each the single truth about its task. Adding a task is adding one file."""

from mtl.tasks.base import Task, build_tasks, select_tasks
from mtl.tasks.boundary import Boundary
from mtl.tasks.classes import CLASS_SETS, PALETTES, ClassSet
from mtl.tasks.depth import Depth
from mtl.tasks.part_segmentation import PartSegmentation
from mtl.tasks.saliency import Saliency
from mtl.tasks.semantic_segmentation import SemanticSegmentation
from mtl.tasks.surface_normals import SurfaceNormals

__all__ = [
    'CLASS_SETS',
    'PALETTES',
    'Boundary',
    'ClassSet',
    'Depth',
    'PartSegmentation',
    'Saliency',
    'SemanticSegmentation',
    'SurfaceNormals',
    'Task',
    'build_tasks',
    'select_tasks',
]
