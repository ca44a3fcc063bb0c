"""``/console/messages``: the newest messages, the failed ones, and the timeline of one message."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from urllib.parse import quote

from redis import Redis
from starlette.responses import RedirectResponse, Response

from sms_router.routing.history.reader import HistoryReader, RecordPage
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus, cancel, check_replayable
from sms_router.routing.history.streams import Cursor
from sms_router.routing.history.timeline import body_of, build_timeline, number_of
from sms_router.web.console.auth import ConsolePages, ConsoleRequest, Done
from sms_router.web.console.message_rows import OUTCOMES, build_row, has_outcome, outcome_badge
from sms_router.web.console.rendering import PageError

log = logging.getLogger("sms_router.console")

PAGE_SIZES = (25, 50, 100)
"""Messages of a page; to read more would slow down the messages that arrive."""

MAX_SID_LENGTH = 40
MAX_QUERY_LENGTH = 200

NO_QUERY = {"number": "", "text": "", "rule": "", "outcome": ""}
"""The fields of a search."""

_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")

ANY_AGE = 10**15
"""Milliseconds: the console replays messages of any age, after a confirmation."""

_OFFERED = {ReplayStatus.YES, ReplayStatus.UNKNOWN, ReplayStatus.TOO_OLD}
"""When a message's page offers its replay."""


class MessagePages(ConsolePages):
    """The lists of messages, and the page of one."""

    async def list(self, request: ConsoleRequest) -> Response:
        """List the newest messages or the newest dead letters; with a sid, redirect to that message."""
        if sid := request.query("sid").strip():
            return RedirectResponse(f"/console/messages/{quote(sid[:MAX_SID_LENGTH], safe='')}", 303)
        failed, scheduled = request.query("failed") == "1", request.query("scheduled") == "1"
        limit = next((size for size in PAGE_SIZES if request.query("limit") == str(size)), PAGE_SIZES[0])
        before = Cursor.parse(request.query("before"))

        def render(client: Redis) -> Response:
            history = HistoryReader(client)
            if scheduled:
                page = RecordPage(history.scheduled(limit), None)
            else:
                page = history.failed_page(limit, before) if failed else history.page(limit, before)
            return self._list(request, page, limit, before, failed=failed, scheduled=scheduled)

        return await self.context.executor.run_with_client(render)

    async def search(self, request: ConsoleRequest) -> Response:
        """List the messages with a number, a text, a rule and an outcome, which no address may contain."""
        query = {name: request.form.get(name, "").strip()[:MAX_QUERY_LENGTH] for name in NO_QUERY}
        if _SID.fullmatch(query["number"]):
            return RedirectResponse(f"/console/messages/{query['number']}", 303)
        contact = self.context.parse_contact(query["number"]) if query["number"] else ""
        text, rule, outcome = query["text"].casefold(), query["rule"].casefold(), query["outcome"]
        before = Cursor.parse(request.form.get("before", ""))

        def matches(record: MessageRecord) -> bool:
            texts = (body_of(record, reveal=True), *(message.body for message in record.replies))
            return (
                (not contact or (record.message is not None and record.message.contact == contact))
                and any(text in " ".join(each.casefold().split()) for each in texts)
                and rule in (record.rule or "").casefold()
                and (not outcome or has_outcome(record, outcome))
            )

        def render(client: Redis) -> Response:
            page = HistoryReader(client).search(matches, PAGE_SIZES[0], before, contact)
            return self._list(request, page, PAGE_SIZES[0], before, query=query)

        return await self.context.executor.run_with_client(render)

    def _list(
        self,
        request: ConsoleRequest,
        page: RecordPage,
        limit: int,
        before: Cursor | None,
        *,
        failed: bool = False,
        scheduled: bool = False,
        query: Mapping[str, str] = NO_QUERY,
    ) -> Response:
        if request.asks_to_reveal:
            log.info("a list of messages was shown in full")
        return self.render(
            request,
            "messages.html",
            rows=[build_row(record, request.reveal) for record in page.records],
            failed=failed,
            scheduled=scheduled,
            query=query,
            searched=any(query.values()),
            outcomes=OUTCOMES,
            limit=limit,
            limits=PAGE_SIZES,
            older=page.next_cursor,
            first=before is None,
        )

    async def show(self, request: ConsoleRequest) -> Response:
        record = await self.find(request.path_parameter("sid"))
        if request.asks_to_reveal:
            log.info("%s was shown in full", record.sid)
        check = check_replay(record, self.context.now, even_unknown=False)
        return self.render(
            request,
            "message.html",
            sid=record.sid,
            record=record,
            contact=number_of(record, request.reveal),
            outcome=outcome_badge(record),
            events=build_timeline(record, request.reveal),
            trail=_trail_lines(record),
            replayable=check.status in _OFFERED,
            why=check.reason,
            pending=record.replay is not None and record.replay.answer is None,
        )

    async def cancel(self, request: ConsoleRequest) -> Response:
        record = await self.find(request.path_parameter("sid"))
        if not await self.context.executor.run_with_client(lambda client: cancel(client, record)):
            raise PageError(409, "It does not wait any more.")
        log.info("%s was cancelled", record.sid)
        return Done(f"/console/messages/{record.sid}", "The message is cancelled: it is not sent.")

    async def find(self, sid: str) -> MessageRecord:
        """Return a message by its sid."""
        accounts = self.context.account_sids
        record = await self.context.executor.run_with_client(
            lambda client: HistoryReader(client).find(sid, accounts)
        )
        if record is None:
            raise PageError(404, f"The journal has no message {sid}.")
        return record


def check_replay(record: MessageRecord, now: int, *, even_unknown: bool) -> ReplayCheck:
    """Return whether a message may be replayed, after a confirmation, whatever its age."""
    if record.replay is not None and not record.replay.failure:
        return ReplayCheck(ReplayStatus.ALREADY, "a replay was requested already")
    return check_replayable(record, now, ANY_AGE, even_unknown=even_unknown)


def _trail_lines(record: MessageRecord) -> set[str]:
    """Return the lines of the timeline that explain the selection of a sender."""
    answers = (
        record.answer,
        record.second_answer,
        record.late_reply,
        record.replay.answer if record.replay else None,
    )
    lines = {line for answer in answers if answer is not None for line in answer.trail}
    return lines | {line for attempt in record.attempts for line in attempt.trail}
