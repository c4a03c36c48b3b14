"""Shared by all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


@pytest.fixture(scope="session")
def mirrored_strategy():
    """Two replicas on two logical CPUs.

    One for the whole process: TensorFlow numbers the collective operations of each
    `MirroredStrategy` from the same start, so that those of two would be taken for one another.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def pytest_configure():
    """Makes the two logical CPUs, which is possible only before TensorFlow's first operation."""
    import tensorflow as tf

    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
