"""The chief of several workers: KerasTuner's service, and an end that comes."""

import os
import time
from concurrent import futures
from typing import Any

from ._keras_tuner_private import servicer

_LOOK_SECONDS = 0.2


def serve(oracle: Any, stop_after: float | None = None) -> None:
    """Answers workers until the search is over and they have been told so.

    KerasTuner's own chief waits for ever for a worker that died, and sleeps for twenty seconds at
    a time. Ours ends once nothing is left to do and no worker that lives has yet to hear of it.

    Args:
        oracle: The `HeuristicOracle`.
        stop_after: Float. Seconds to go on answering after the search is over, for workers that
            have yet to ask. Defaults to `None`: the oracle's `worker_timeout`.
    """
    import grpc

    make, add = servicer()
    address = f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}"
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    add(make(oracle), server)
    if not server.add_insecure_port(address):
        raise ValueError(
            "The chief can't listen. Received: KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT of "
            f"{address}. Is the port in use?"
        )
    server.start()
    try:
        while not oracle.is_over():
            time.sleep(_LOOK_SECONDS)
        patience = oracle.worker_timeout if stop_after is None else stop_after
        end = time.monotonic() + patience
        while oracle.tuner_ids and time.monotonic() < end:
            time.sleep(_LOOK_SECONDS)
        time.sleep(_LOOK_SECONDS)  # for the last answer to arrive
    finally:
        server.stop(grace=1.0).wait()
