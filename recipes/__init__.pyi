from . import datasets as datasets
from .activations import ACTIVATIONS as ACTIVATIONS
from .activations import activation_layer as activation_layer
from .activations import initializer_for as initializer_for
from .layers.rrelu import RReLU as RReLU
from .mlp import mlp as mlp
