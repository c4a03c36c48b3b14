"""Claims on weights, activations, normalization and depth."""

from claim import IMAGES, Claim

_GERON = "Géron, chapter 11"
_INITIAL = f"{_GERON}, Glorot and He initialization, table 11-1"
_ACTIVATIONS = f"{_GERON}, nonsaturating activation functions"
_NORM = "Ioffe and Szegedy 2015; Géron, chapter 11, batch normalization"

WEIGHTS = (
    Claim("He for ReLU", "A deep ReLU network does better with He's weights than with Glorot's.",
          f"{_INITIAL}; He et al. 2015", "deep ReLU, He", "deep ReLU, Glorot"),
    Claim("LeCun, not He, for SELU",
          "A deep SELU network does better with LeCun's weights than with He's.",
          f"{_INITIAL}; Klambauer et al. 2017", "deep SELU, LeCun", "deep SELU, He"),
    Claim("LeCun, not Glorot, for SELU",
          "A deep SELU network does better with LeCun's weights than with Glorot's.",
          f"{_INITIAL}; Klambauer et al. 2017", "deep SELU, LeCun", "deep SELU, Glorot",
          note="Between layers of one width both draw from the same distribution: only the first "
          "and the last layer differ."),
    Claim("Glorot for tanh", "A deep tanh network does better with Glorot's weights than N(0, 1).",
          f"{_INITIAL}; Glorot and Bengio 2010", "deep tanh, Glorot", "deep tanh, N(0, 1)"),
    Claim("1/sqrt(n) for sigmoid",
          "A sigmoid network learns faster from weights N(0, 1/n) than from N(0, 1).",
          "Nielsen, chapter 3, weight initialization",
          "sigmoid, 1/sqrt(n)", "sigmoid, N(0, 1)", "speed"),
)  # fmt: skip

ACTIVATIONS = (
    Claim("SELU over ELU", "In a deep network SELU does better than ELU.", _ACTIVATIONS,
          "deep SELU, LeCun", "deep ELU"),
    Claim("ELU over leaky ReLU", "In a deep network ELU does better than leaky ReLU.",
          _ACTIVATIONS, "deep ELU", "deep leaky ReLU 0.2"),
    Claim("Leaky ReLU over ReLU", "In a deep network leaky ReLU does better than ReLU.",
          _ACTIVATIONS, "deep leaky ReLU 0.2", "deep ReLU, He"),
    Claim("ReLU over tanh", "In a deep network ReLU does better than tanh.", _ACTIVATIONS,
          "deep ReLU, He", "deep tanh, Glorot"),
    Claim("tanh over logistic", "In a deep network tanh does better than the logistic function.",
          _ACTIVATIONS, "deep tanh, Glorot", "deep sigmoid, Glorot"),
    Claim("SELU over ReLU", "In a deep dense network SELU does much better than ReLU.",
          f"{_ACTIVATIONS}; Klambauer et al. 2017", "deep SELU, LeCun", "deep ReLU, He"),
    Claim("ReLU over sigmoid", "ReLU makes deep networks trainable that sigmoids do not.",
          "Nielsen, chapter 5; texts on vanishing gradients",
          "deep ReLU, He", "deep sigmoid, Glorot"),
    Claim("ELU trains faster", "ELU takes less training than ReLU.",
          f"{_ACTIVATIONS}; Clevert et al. 2015", "deep ELU", "deep ReLU, He", "speed",
          note="Epochs are counted, not seconds: ELU takes longer for each."),
    Claim("tanh trains faster", "A shallow network learns faster with tanh than with sigmoids, "
          "whose outputs share a sign.", "Nielsen, chapter 3, other models of neuron",
          "tanh, 1/sqrt(n)", "sigmoid, 1/sqrt(n)", "speed"),
    Claim("Leak of 0.2", "Leaky ReLU does better with a leak of 0.2 than of 0.01.",
          f"{_ACTIVATIONS}; Xu et al. 2015", "deep leaky ReLU 0.2", "deep leaky ReLU 0.01"),
    Claim("PReLU with much data", "With all training examples PReLU does better than ReLU.",
          f"{_ACTIVATIONS}; He et al. 2015", "PReLU", "plain",
          note="Much is relative: 96 to 4,000 examples."),
    Claim("ReLU with little data", "With ten labels of a class PReLU overfits: ReLU does better.",
          f"{_ACTIVATIONS}; Xu et al. 2015", "few labels, ReLU", "few labels, PReLU"),
    Claim("RReLU regularizes", "Random slopes do better on held-out data than their mean.",
          f"{_ACTIVATIONS}; Xu et al. 2015", "RReLU", "leaky ReLU 11/48"),
    Claim("SELU needs standardized inputs",
          "A deep SELU network does better on standardized inputs than on inputs of 0 to 1.",
          f"{_ACTIVATIONS}; Klambauer et al. 2017",
          "deep SELU, LeCun", "deep SELU, inputs 0 to 1"),
)  # fmt: skip

NORMALIZATION = (
    Claim("Batch norm trains faster", "Batch normalization makes a deep network train faster.",
          _NORM, "deep ReLU, batch norm", "deep ReLU, He", "speed",
          note="Epochs are counted, not seconds."),
    Claim("Batch norm generalizes", "Batch normalization regularizes: a shallow network does "
          "better on held-out data.", _NORM, "batch norm before", "plain"),
    Claim("Batch norm after activation",
          "Batch normalization does better after the activation than before it.",
          f"{_GERON}, batch normalization (87.5 against 86.6)",
          "batch norm after", "batch norm before"),
    Claim("Batch norm for standardization", "Batch normalization as the first layer on raw inputs "
          "does as well as standardized inputs.", f"{_GERON}, batch normalization",
          "raw inputs, batch norm first", "plain", as_good=True),
    Claim("Batch norm cures weights", "With batch normalization a deep network trains from "
          "weights N(0, 1), without it it does not.", _NORM,
          "deep ReLU, N(0, 1), batch norm", "deep ReLU, N(0, 1)"),
    Claim("Batch norm for large rates", "With batch normalization a deep network stands a rate "
          "of 1, without it it does not.", _NORM,
          "deep ReLU, batch norm, rate 1", "deep ReLU, rate 1",
          note="Both at this rate: none is chosen."),
    Claim("Standardized inputs", "Standardized inputs do better than raw ones.",
          f"{_GERON}; LeCun et al. 1998", "standardized inputs", "raw inputs",
          note="Six rates, a millionth to a tenth, since raw features reach 4,254."),
)  # fmt: skip

DEPTH = (
    Claim("Shortcuts at depth 50", "Shortcuts make 50 layers with batch normalization do better.",
          "He et al. 2016; text on vanishing and exploding gradients, residual networks",
          "50 layers, shortcuts", "50 layers, no shortcuts",
          note="25 blocks of two layers of 32 units; half of the ordinary epochs and three rates, "
          "for their cost."),
    Claim("Deeper sigmoids don't help",
          "One hidden layer of 30 sigmoid units does as well as four of them.",
          "Nielsen, chapter 5 (96.48% against 96.53%)",
          "one layer of 30", "four layers of 30", as_good=True),
    Claim("Greedy pretraining", "With five labels of a class a sigmoid network of four layers "
          "does better after unsupervised pretraining, layer by layer.",
          "Hinton et al. 2006; Géron, chapter 11, unsupervised pretraining",
          "pretrained", "not pretrained",
          note="Denoising autoencoders, five epochs a layer, on all training inputs."),
    Claim("Clipping for recurrent nets", "Clipping gradients to a norm of 1 makes a recurrent "
          "network do better.", f"{_GERON}, gradient clipping; Pascanu et al. 2013",
          "recurrent, clipped", "recurrent", data=IMAGES,
          note="Images are read row by row, 8 or 14 steps; tables have no order to read in."),
)  # fmt: skip
