"""One JSON-RPC door over web3's HTTP provider: what failed is said as whose fault it is.

web3 is imported when the first door opens, not before: `--help` does not pay for it. A door may be used by several
threads (the provider keeps one HTTP session for each).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rlp.exceptions import RLPException  # type: ignore[import-untyped]  # ships no types

from peerage_crypto.errors import ChainError, InputError, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json: TypeAlias = Any  # what a node said; checked where it is read
TIMEOUT_SECONDS: Final = 10.0
NONSENSE: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, RLPException)
"""What reading an answer ends in that no honest node gives."""
LONGEST_WAIT: Final = 60.0  # seconds that we stay away from a node that asks for it
MOST_BYTES: Final = 64 << 20  # of one answer, unpacked; logs of 2000 full blocks stay far below


class RpcError(ChainError):
    """The node answered: no. `data` is the revert payload where there is one."""

    def __init__(self, method: str, code: int, message: str, data: bytes) -> None:
        super().__init__(f"{method}: {message}")
        self.code, self.message, self.data = code, message, data


class NotAnEvm(InputError):
    """Something answers there, but not in JSON-RPC."""


class TooBusy(Unreachable):
    """The node asks for patience (too many requests, or down behind its gateway): `wait` seconds, 0 if unsaid."""

    def __init__(self, sentence: str, wait: float) -> None:
        super().__init__(sentence)
        self.wait = wait


class Rpc:
    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        import requests  # noqa: PLC0415 - with web3, below
        from web3 import HTTPProvider  # noqa: PLC0415 - 0.7 s that --help must not pay

        if not url.startswith(("http://", "https://")):
            raise InputError(f"{url}: an RPC address starts with http:// or https://")
        self.url = url
        how = {"timeout": timeout, "hooks": {"response": _bounded}}
        self._provider = HTTPProvider(url, how, exception_retry_configuration=None)
        self._lost = (requests.exceptions.ConnectionError, requests.exceptions.Timeout)
        self._strange = (requests.exceptions.RequestException, ValueError, TypeError, RecursionError)
        self._one_by_one = False  # some nodes take no batches

    def call(self, method: str, *parameters: Json) -> Json:
        """The `result` of one call. Raises RpcError, Unreachable, NotAnEvm."""
        answer = self._ask(lambda: self._provider.make_request(method, list(parameters)))
        return self._result(method, answer)

    def batch(self, calls: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Results in the order of the calls, in one request if the node takes batches; raises the first error."""
        if not calls:
            return []
        if self._one_by_one:
            return [self.call(method, *parameters) for method, parameters in calls]
        requests: Json = [(method, list(parameters)) for method, parameters in calls]
        answers = self._ask(lambda: self._provider.make_batch_request(requests))
        if isinstance(answers, list) and len(answers) == len(calls):
            return [self._result(calls[i][0], answer) for i, answer in enumerate(answers)]
        if not isinstance(answers, dict) or "error" not in answers:
            raise NotAnEvm(f"{self.url} does not answer batches of JSON-RPC; give the address of an Ethereum node")
        self._one_by_one = True  # its one error for all of them: no batches, or not so many
        return self.batch(calls)

    def _ask(self, request: Json) -> Json:
        try:
            return request()
        except self._lost:
            raise Unreachable(f"{self.url}: no node answers there; start one, or give another --rpc") from None
        except self._strange as error:
            response = getattr(error, "response", None)
            status = getattr(response, "status_code", 0)
            if status in (429, 502, 503, 504):
                wait = _seconds(getattr(response, "headers", {}).get("Retry-After"))
                raise TooBusy(f"{self.url}: the node is too busy or down (HTTP {status})", wait) from None
            raise NotAnEvm(f"{self.url} does not answer JSON-RPC; give the address of an Ethereum node") from None

    def _result(self, method: str, answer: Json) -> Json:
        if not isinstance(answer, dict) or ("result" not in answer and "error" not in answer):
            raise NotAnEvm(f"{self.url} does not answer JSON-RPC; give the address of an Ethereum node")
        error = answer.get("error")
        if error is None:
            return answer["result"]
        if not isinstance(error, dict):
            raise RpcError(method, 0, str(error), b"")
        code = error.get("code", 0)
        raise RpcError(
            method, code if isinstance(code, int) else 0, str(error.get("message", "")), _payload(error.get("data"))
        )


class _Bounded:
    """The body of an answer as it comes in, until it is longer than any honest one."""

    def __init__(self, raw: Json) -> None:
        self._raw = raw

    def stream(self, amount: int, *, decode_content: bool = True) -> Iterator[bytes]:
        left = MOST_BYTES
        for piece in self._raw.stream(amount, decode_content=decode_content):
            left -= len(piece)
            if left < 0:
                raise ValueError(f"the answer is longer than {MOST_BYTES} bytes")
            yield piece

    def __getattr__(self, name: str) -> Json:
        return getattr(self._raw, name)


def _bounded(response: Json, *_: object, **__: object) -> None:
    """Called by requests before it reads the body."""
    response.raw = _Bounded(response.raw)


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


def _seconds(header: str | None) -> float:
    """What Retry-After asks for, when it is a number of seconds; at most LONGEST_WAIT."""
    try:
        wait = float(header or 0)
    except ValueError:
        return 0.0  # a date: our own pauses do
    return min(wait, LONGEST_WAIT) if wait > 0 else 0.0


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
