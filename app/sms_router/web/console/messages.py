"""``/console/messages``: what came in, what was answered, what failed, and the story of one message."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from urllib.parse import quote

from redis import Redis
from starlette.responses import RedirectResponse, Response

from sms_router.routing.history import replay as replaying
from sms_router.routing.history.paging import Cursor
from sms_router.routing.history.reader import HistoryReader
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus
from sms_router.routing.history.timeline import build_timeline, person_of
from sms_router.web.console.auth import ConsoleRequest
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.message_rows import outcome_of, row_of
from sms_router.web.console.rendering import PageError, Pages

log = logging.getLogger("sms_router.console")

LIMITS = (25, 50, 100)
"""How many messages one page may have; reading more would cost those who text."""

LONGEST_SID = 40

NEVER_TOO_OLD = 10**15

_WORTH_REPLAYING = {ReplayStatus.YES, ReplayStatus.UNKNOWN, ReplayStatus.TOO_OLD}


@dataclass(frozen=True, slots=True)
class MessagePages:
    """The pages about messages."""

    desk: ConsoleContext
    pages: Pages

    async def newest(self, visit: ConsoleRequest) -> Response:
        """List the newest messages, or the newest dead letters; with a sid, lead to that message."""
        if sid := visit.query("sid").strip():
            return RedirectResponse(f"/console/messages/{quote(sid[:LONGEST_SID], safe='')}", 303)
        failed = visit.query("failed") == "1"
        wanted = visit.query("limit")
        limit = int(wanted) if wanted in map(str, LIMITS) else LIMITS[0]
        before = Cursor.parse(visit.query("before"))

        reveal = visit.reveal or self.desk.open
        if visit.reveal:
            log.info("the console: a list of messages was looked at in full")

        def read(client: Redis) -> Response:
            history = HistoryReader(client)
            page = history.failed_page(limit, before) if failed else history.page(limit, before)
            return self.pages.show(
                "messages.html",
                visit.session,
                rows=[row_of(episode, reveal) for episode in page.episodes],
                failed=failed,
                limit=limit,
                limits=LIMITS,
                older=page.older,
                first=before is None,
                reveal=reveal,
                open=self.desk.open,
            )

        return await self.desk.archive.ask(read)

    async def show(self, visit: ConsoleRequest) -> Response:
        """Tell everything that is known of one message."""
        episode = await self.find(visit.place("sid"))
        reveal = visit.reveal or self.desk.open
        if visit.reveal:
            log.info("the console: %s was looked at in full", episode.sid)
        judgement = self._judge(episode)
        return self.pages.show(
            "message.html",
            visit.session,
            sid=episode.sid,
            episode=episode,
            person=person_of(episode, reveal),
            outcome=outcome_of(episode),
            steps=build_timeline(episode, reveal),
            trail=_trail_lines(episode),
            replayable=judgement.verdict in _WORTH_REPLAYING,
            why=judgement.why,
            pending=episode.replay is not None and episode.replay.said is None,
            asked=visit.query("asked") == "1",
            reveal=reveal,
            open=self.desk.open,
        )

    async def find(self, sid: str) -> MessageRecord:
        """Return a message by its sid.

        Raises:
            Refused: when it is not there.

        """
        accounts = self.desk.account_sids
        episode = await self.desk.archive.ask(lambda client: HistoryReader(client).find(sid, accounts))
        if episode is None:
            raise PageError(404, f"No message {sid} is in the journal.")
        return episode

    def _judge(self, episode: MessageRecord) -> ReplayCheck:
        if episode.replay is not None and not episode.replay.failed:
            return ReplayCheck(ReplayStatus.ALREADY, "it was replayed already, or is about to be")
        return replaying.check_replayable(episode, self.desk.now, NEVER_TOO_OLD, even_unknown=False)


def _trail_lines(episode: MessageRecord) -> set[str]:
    """Return the lines of the story that say how a number was chosen."""
    said = (episode.answer, episode.late, episode.replay.said if episode.replay else None)
    lines = {line for each in said if each is not None for line in each.trail}
    return lines | {line for sending in episode.sendings for line in sending.trail}
