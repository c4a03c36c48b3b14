"""Shared by all tests."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


@pytest.fixture(scope="session")
def two_cpus():
    """Two logical CPUs; they must be made before TensorFlow first runs an operation."""
    import tensorflow as tf

    return [device.name.replace("/physical_device:", "") for device in tf.config.list_logical_devices("CPU")][:2]


def pytest_configure():
    import tensorflow as tf

    cpus = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpus[0], [tf.config.LogicalDeviceConfiguration()] * 2)
