from .activation_facts import ACTIVATION_FACTS as ACTIVATION_FACTS
from .activation_facts import ActivationFacts as ActivationFacts
from .gradient_norms import GradientNorms as GradientNorms
from .gradient_norms import watch as watch
from .plots import plot_gradient_norms as plot_gradient_norms
from .plots import plot_learning_speed as plot_learning_speed
from .record import TrainingRecord as TrainingRecord
from .report import write_report as write_report
