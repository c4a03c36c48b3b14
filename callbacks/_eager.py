"""Running something eagerly from wherever a graph is being traced."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def eagerly(function: Callable[[], T]) -> T:
    """Calls a function outside of every graph, `tf.distribute` strategy and replica.

    TensorFlow keeps all of these per thread, so a new thread is in none of them; `tf.init_scope`
    would leave the graph alone.
    """
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(function).result()
