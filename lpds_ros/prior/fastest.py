"""Provider "auto": which one decodes fastest on this machine, measured at the first start and kept for the next ones."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

from lpds_ros.durable import write_whole
from lpds_ros.identity import digest_of
from lpds_ros.prior.measure import machine, paced_ms
from lpds_ros.prior.runtime import ProviderError, installed, listed
from lpds_ros.resources import cache_folder

NOT_BY_ITSELF = ("tensorrt",)  # it builds an engine first, which takes minutes: only where asked for by name
FILE = "providers.json"

logger = logging.getLogger(__name__)


def fastest(candidates: list[str], what: dict, open_: Callable[[str], Callable[[], object]], file: Path | None = None) -> str:
    """The candidate that decodes fastest: the one found before on this machine for the same `what`, else measured now.

    open_: name -> a call that decodes one chunk; a ProviderError drops the candidate. what: plain values that the choice
    depends on. file: where choices are kept (the cache folder's); it may be removed at any time. The last one left by failures is
    not kept: they may be mended by the next start.
    """
    there = listed()
    usable = [name for name in candidates if name in there and name not in NOT_BY_ITSELF]
    if len(usable) == 1:
        return usable[0]
    file = file or cache_folder() / FILE
    key = digest_of(what | {"machine": machine(), "runtime": installed().__version__, "candidates": usable})
    kept = _read(file).get(key)
    if kept in usable and _opened([kept], open_):
        return kept
    calls = _opened(usable, open_)
    if not calls:
        raise ProviderError(f"none of the providers {', '.join(usable)} runs this decoder: name one to see why")
    if len(calls) == 1:
        return next(iter(calls))
    found = paced_ms(calls)
    best = min(found, key=found.get)
    logger.info("provider auto: %s (ms a chunk: %s)", best, found)
    try:
        write_whole(file, json.dumps(_read(file) | {key: best}, indent=1).encode())
    except OSError as error:
        logger.warning("provider auto: the choice cannot be kept in %s (%s), it is measured at every start", file, error)
    return best


def _opened(names: list[str], open_) -> dict[str, Callable[[], object]]:
    """The calls of those that work here."""
    calls = {}
    for name in names:
        try:
            calls[name] = open_(name)
        except ProviderError as error:
            logger.info("provider auto: %s is listed but does not work here (%s)", name, error)
    return calls


def _read(file: Path) -> dict:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
