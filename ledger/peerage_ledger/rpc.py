"""One JSON-RPC door over web3's HTTP provider: what failed is said as whose fault it is.

web3 is imported when the first door opens, not before: `--help` does not pay for it. A door may be used by several
threads (the provider keeps one HTTP session for each).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from peerage_crypto.errors import ChainError, InputError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

Json: TypeAlias = Any  # what a node said; checked where it is read
TIMEOUT_SECONDS: Final = 10.0


class RpcError(ChainError):
    """The node answered: no. `data` is the revert payload where there is one."""

    def __init__(self, method: str, code: int, message: str, data: bytes) -> None:
        super().__init__(f"{method}: {message}")
        self.code, self.message, self.data = code, message, data


class NotAnEvm(InputError):
    """Something answers there, but not in JSON-RPC."""


class Rpc:
    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        import requests  # noqa: PLC0415 - with web3, below
        from web3 import HTTPProvider  # noqa: PLC0415 - 0.7 s that --help must not pay

        if not url.startswith(("http://", "https://")):
            raise InputError(f"{url}: an RPC address starts with http:// or https://")
        self.url = url
        self._provider = HTTPProvider(url, {"timeout": timeout}, exception_retry_configuration=None)
        self._lost = (requests.exceptions.ConnectionError, requests.exceptions.Timeout)
        self._strange = (requests.exceptions.RequestException, ValueError, TypeError)

    def call(self, method: str, *parameters: Json) -> Json:
        """The `result` of one call. Raises RpcError, Unreachable, NotAnEvm."""
        answer = self._ask(lambda: self._provider.make_request(method, list(parameters)))
        return self._result(method, answer)

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results in the order of the calls, in one request; raises the first error among them."""
        if not calls:
            return []
        requests: Json = [(method, list(parameters)) for method, parameters in calls]
        answers = self._ask(lambda: self._provider.make_batch_request(requests))
        if not isinstance(answers, list) or len(answers) != len(calls):
            raise NotAnEvm(f"{self.url} does not answer batches of JSON-RPC; give the address of an Ethereum node")
        return [self._result(calls[i][0], answer) for i, answer in enumerate(answers)]

    def _ask(self, request: Json) -> Json:
        try:
            return request()
        except self._lost:
            raise Unreachable(f"{self.url}: no node answers there; start one, or give another --rpc") from None
        except self._strange as error:
            status = getattr(getattr(error, "response", None), "status_code", 0)
            if status in (429, 502, 503, 504):
                raise Unreachable(f"{self.url}: the node is too busy or down (HTTP {status})") from None
            raise NotAnEvm(f"{self.url} does not answer JSON-RPC; give the address of an Ethereum node") from None

    def _result(self, method: str, answer: Json) -> Json:
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise NotAnEvm(f"{self.url} does not answer JSON-RPC; give the address of an Ethereum node")
        error = answer.get("error")
        if error is None:
            return answer["result"]
        if not isinstance(error, dict):
            raise RpcError(method, 0, str(error), b"")
        raise RpcError(method, int(error.get("code", 0)), str(error.get("message", "")), _payload(error.get("data")))


def _payload(data: Json) -> bytes:
    """Revert bytes: plain hex from anvil and geth, nested in an object from ganache."""
    if isinstance(data, dict):
        data = data.get("data") or data.get("result") or next((_nested(v) for v in data.values() if _nested(v)), "")
    if not isinstance(data, str) or not data.startswith("0x"):
        return b""
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        return b""


def _nested(value: Json) -> str:
    return str(value.get("return", "")) if isinstance(value, dict) else ""


def connect(url: str, chain_id: int | None) -> Rpc:
    """A door to a node that is an EVM and has this chain id; InputError or Unreachable otherwise."""
    rpc = Rpc(url)
    try:
        have = int(rpc.call("eth_chainId"), 16)
    except (RpcError, ValueError, TypeError):
        raise NotAnEvm(f"{url} does not know eth_chainId; give the address of an Ethereum node") from None
    if chain_id is not None and have != chain_id:
        raise InputError(f"{url} has chain id {have}, this federation needs {chain_id}; give another --rpc or chain_id")
    return rpc
