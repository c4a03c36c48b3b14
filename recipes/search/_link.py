"""A worker's link to its chief: patient while the chief is away, for a while."""

import time
from collections.abc import Callable
from typing import Any

import keras_tuner

FAILURE = "tuner/failure"
"""Name of the value by which a chief and its workers tell each other why a search ends."""

MESSAGE = "tuner/message"
"""Name of the value that tells why a trial failed: KerasTuner's own message isn't sent."""

PATIENCE_SECONDS = 600.0
_PAUSE_SECONDS = 0.5


class Link:
    """KerasTuner's `OracleClient`, and what the chief said last.

    Args:
        client: A `keras_tuner` `OracleClient`.
        patience: Float. Seconds to wait for a chief that doesn't answer: it may have yet to
            start, or be started again. Defaults to `600`.

    Attributes:
        failure: String. Why the chief has ended the search, or empty.
    """

    def __init__(self, client: Any, patience: float = PATIENCE_SECONDS) -> None:
        client.stub = _PatientStub(client.stub, patience)
        self._client = client
        self.failure = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def create_trial(self, tuner_id: str) -> Any:
        """The chief's next trial."""
        trial = self._client.create_trial(tuner_id)
        self.failure = trial.hyperparameters.values.get(FAILURE, "")
        return trial


class _PatientStub:
    """Asks again where a chief was killed before it answered.

    All that a worker asks may be asked twice: a chief gives a worker the trial it has, and keeps
    a report once.
    """

    def __init__(self, stub: Any, patience: float) -> None:
        self._stub, self._patience = stub, patience

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda request, **options: self._ask(getattr(self._stub, name), request, options)

    def _ask(self, call: Callable[..., Any], request: Any, options: dict[str, Any]) -> Any:
        import grpc

        end = time.monotonic() + self._patience
        while True:
            left = max(0.1, end - time.monotonic())
            try:
                return call(request, **{**options, "timeout": left})
            except grpc.RpcError as error:
                code = error.code()
                if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                    raise
                if time.monotonic() + _PAUSE_SECONDS >= end:
                    raise keras_tuner.errors.FatalRuntimeError(
                        "The chief must answer its workers. Received: no answer for "
                        f"{self._patience:g} seconds. Is it running, and are KERASTUNER_ORACLE_IP "
                        "and KERASTUNER_ORACLE_PORT its address?"
                    ) from error
                time.sleep(_PAUSE_SECONDS)
