"""Child registries of MMEngine's roots, scope ``mtl``.

Each finds its modules in ``locations`` on first use, so a config with ``default_scope = 'mtl'`` needs no imports.
"""

from mmengine import registry as root
from mmengine.registry import Registry

# what a task is: labels, loss, prediction, picture
TASKS = Registry('task', scope='mtl', locations=['mtl.tasks'])

# where samples come from
DATASETS = Registry('dataset', parent=root.DATASETS, scope='mtl', locations=['mtl.datasets', 'mtl.mini_scenes'])
DATA_SAMPLERS = Registry('data sampler', parent=root.DATA_SAMPLERS, scope='mtl', locations=['mtl.datasets'])
TRANSFORMS = Registry('transform', parent=root.TRANSFORMS, scope='mtl', locations=['mtl.datasets.transforms'])

# networks: backbones, decoders, losses, data preprocessors, whole models
MODELS = Registry('model', parent=root.MODELS, scope='mtl', locations=['mtl.models', 'mtl.losses'])

# what a step of training is made of
TRAIN_POLICIES = Registry('train policy', scope='mtl', locations=['mtl.engine'])

# what a model starts from
WEIGHT_INITIALIZERS = Registry(
    'weight initializer', parent=root.WEIGHT_INITIALIZERS, scope='mtl', locations=['mtl.engine']
)

# what wraps a model in distributed training
MODEL_WRAPPERS = Registry('model wrapper', parent=root.MODEL_WRAPPERS, scope='mtl', locations=['mtl.engine'])

# what a prediction is worth
METRICS = Registry('metric', parent=root.METRICS, scope='mtl', locations=['mtl.evaluation'])
EVALUATOR = Registry('evaluator', parent=root.EVALUATOR, scope='mtl', locations=['mtl.evaluation'])

# how a run goes
HOOKS = Registry('hook', parent=root.HOOKS, scope='mtl', locations=['mtl.engine'])
LOOPS = Registry('loop', parent=root.LOOPS, scope='mtl', locations=['mtl.engine'])
OPTIMIZERS = Registry('optimizer', parent=root.OPTIMIZERS, scope='mtl', locations=['mtl.engine'])
PARAM_SCHEDULERS = Registry('parameter scheduler', parent=root.PARAM_SCHEDULERS, scope='mtl', locations=['mtl.engine'])
OPTIM_WRAPPERS = Registry('optim_wrapper', parent=root.OPTIM_WRAPPERS, scope='mtl', locations=['mtl.engine'])
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor', parent=root.OPTIM_WRAPPER_CONSTRUCTORS, scope='mtl', locations=['mtl.engine']
)
LOG_PROCESSORS = Registry('log processor', parent=root.LOG_PROCESSORS, scope='mtl', locations=['mtl.engine'])
VISUALIZERS = Registry('visualizer', parent=root.VISUALIZERS, scope='mtl', locations=['mtl.visualization.visualizer'])
VISBACKENDS = Registry('vis_backend', parent=root.VISBACKENDS, scope='mtl', locations=['mtl.visualization.tensorboard'])
