from . import datasets as datasets
from . import search as search
from .activations import ACTIVATIONS as ACTIVATIONS
from .activations import activation_layer as activation_layer
from .activations import initializer_for as initializer_for
from .convolutional import convnet as convnet
from .fixup import fixup as fixup
from .hessian_spectrum import hessian_spectrum as hessian_spectrum
from .initializers import DeltaOrthogonal as DeltaOrthogonal
from .initializers import LooksLinear as LooksLinear
from .initializers import NaiveNormal as NaiveNormal
from .initializers import NielsenNormal as NielsenNormal
from .layers.crelu import CReLU as CReLU
from .layers.monte_carlo_dropout import MCAlphaDropout as MCAlphaDropout
from .layers.monte_carlo_dropout import MCDropout as MCDropout
from .layers.rrelu import RReLU as RReLU
from .layers.skip_init import SkipInit as SkipInit
from .lsuv import lsuv as lsuv
from .mlp import mlp as mlp
from .monte_carlo import predict_mc as predict_mc
from .newton_step import newton_step as newton_step
from .optimizers.adaptive_gradient_clipping import (
    AdaptiveGradientClipping as AdaptiveGradientClipping,
)
from .optimizers.hessian_free import HessianFree as HessianFree
from .pretraining import greedy_pretrain as greedy_pretrain
from .recurrent import recurrent as recurrent
from .regularizers import nielsen_l2 as nielsen_l2
from .residual import residual_mlp as residual_mlp
from .resnet import resnet as resnet
from .schedules import PowerDecay as PowerDecay
from .schedules import Warmup as Warmup
from .self_normalizing import check_self_normalizing as check_self_normalizing
from .self_normalizing import self_normalizing_mlp as self_normalizing_mlp
from .signal import signal_per_layer as signal_per_layer
from .transfer import reuse_layers as reuse_layers
from .transfer import unfreeze as unfreeze
from .wide_and_deep import wide_and_deep as wide_and_deep
