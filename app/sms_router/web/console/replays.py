"""``/console/messages/{sid}/replay``: having a message answered once more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis
from starlette.responses import RedirectResponse, Response

from sms_router.routing.contacts.contact import Contact
from sms_router.routing.contacts.summary import stored_person
from sms_router.routing.handler.conversation import StoredConversation
from sms_router.routing.history import replay as replaying
from sms_router.routing.history.record import MessageRecord
from sms_router.routing.history.replay import ReplayCheck, ReplayStatus
from sms_router.routing.history.timeline import body_of, person_of
from sms_router.routing.pipeline.replay_preview import ReplayPreview, preview_replay, read_talk
from sms_router.twilio.inbound import InboundMessage
from sms_router.web.console.auth import ConsoleRequest
from sms_router.web.console.context import ConsoleContext
from sms_router.web.console.messages import NEVER_TOO_OLD
from sms_router.web.console.rendering import PageError, Pages

log = logging.getLogger("sms_router.console")

OLD = 24 * 3_600_000
"""Milliseconds after which somebody who gets an answer may not know any more what they have asked."""


class Confirmations(NamedTuple):
    """What somebody must have thought of before a message is answered once more."""

    old: bool = False
    unknown: bool = False
    """Its first answer may have left, so that the person may get two."""


@dataclass(frozen=True, slots=True)
class Replays:
    """The page that asks, and the form that does it."""

    desk: ConsoleContext
    pages: Pages
    find: Callable[[str], Awaitable[MessageRecord]]

    async def show(self, visit: ConsoleRequest) -> Response:
        """Show what would be sent."""
        episode = await self.find(visit.place("sid"))
        judgement, cautions = self._judge(episode)
        planned = None
        if judgement.verdict is ReplayStatus.YES and episode.message is not None:
            planned = await self._plan(episode.message)
            judgement = planned.forbidden or judgement
        reveal = visit.reveal or self.desk.open
        return self.pages.show(
            "replay.html",
            visit.session,
            episode=episode,
            person=person_of(episode, reveal),
            body=body_of(episode, reveal),
            possible=judgement.verdict is ReplayStatus.YES,
            why=judgement.why,
            cautions=cautions,
            plan=planned,
            reveal=reveal,
            open=self.desk.open,
        )

    async def ask(self, visit: ConsoleRequest) -> Response:
        """Put the wish into the outbox, from where a running router takes it."""
        episode = await self.find(visit.place("sid"))
        judgement, cautions = self._judge(episode)
        if judgement.verdict is not ReplayStatus.YES or episode.message is None:
            raise PageError(409, f"It is not replayed: {judgement.why}.")
        if cautions.old and visit.form.get("however_old") != "1":
            raise PageError(409, "It came long ago: tick the box to answer it all the same.")
        if cautions.unknown and visit.form.get("even_if_unknown") != "1":
            raise PageError(409, "Its answer may have left already: tick the box if it may arrive twice.")
        planned = await self._plan(episode.message)
        if planned.forbidden is not None:
            raise PageError(409, f"It is not replayed: {planned.forbidden.why}.")
        if planned.against:
            raise PageError(409, f"It is not replayed: {planned.against}.")
        days, unknown = self.desk.settings.router.retention_days, cautions.unknown

        def put(client: Redis) -> ReplayCheck:
            return replaying.request_replay(client, episode, planned.scope, days, even_unknown=unknown)

        asked = await self.desk.archive.ask(put)
        if asked.verdict is not ReplayStatus.ASKED:
            raise PageError(409, f"It is not replayed: {asked.why}.")
        log.info("the console: a replay of %s was asked for", episode.sid)
        return RedirectResponse(f"/console/messages/{episode.sid}?asked=1", 303)

    def _judge(self, episode: MessageRecord) -> tuple[ReplayCheck, Confirmations]:
        """Say whether it may be answered once more at all, and what speaks against it."""
        now = self.desk.now
        if episode.replay is not None and not episode.replay.failed:
            return ReplayCheck(
                ReplayStatus.ALREADY, "it was replayed already, or is about to be"
            ), Confirmations()
        strict = replaying.check_replayable(episode, now, NEVER_TOO_OLD, even_unknown=False)
        judgement = replaying.check_replayable(episode, now, NEVER_TOO_OLD, even_unknown=True)
        old = episode.received is not None and now - episode.received > OLD
        return judgement, Confirmations(old, strict.verdict is ReplayStatus.UNKNOWN)

    async def _plan(self, message: InboundMessage) -> ReplayPreview:
        desk, now = self.desk, self.desk.now
        scope = desk.people.scope_of(message.service_sid, message.recipient)
        table, conversing = desk.people.table, desk.dispatcher.conversations is not None

        def read(client: Redis) -> tuple[Contact, StoredConversation | None]:
            person = stored_person(client, scope, message.sender)
            return person, read_talk(client, scope, message.sender, now) if conversing else None

        person, talk = await desk.archive.ask(read)
        facts, conditions = person.facts(table, now), desk.availability.conditions()
        return preview_replay(message, scope, facts, talk, desk.dispatcher, desk.composer, conditions)
