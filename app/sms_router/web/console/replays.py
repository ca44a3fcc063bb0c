"""``/console/messages/{sid}/replay``: having a message answered once more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from redis import Redis
from starlette.responses import RedirectResponse, Response

from sms_router.routing.contacts.contact import Person
from sms_router.routing.contacts.summary import stored_person
from sms_router.routing.handler.conversation import Talk
from sms_router.routing.history import replay as replaying
from sms_router.routing.history.record import Episode
from sms_router.routing.history.replay import Judgement, Verdict
from sms_router.routing.history.timeline import body_of, person_of
from sms_router.routing.pipeline.replay_preview import Plan, plan, read_talk
from sms_router.twilio.inbound import InboundMessage
from sms_router.web.console.auth import Visit
from sms_router.web.console.context import Desk
from sms_router.web.console.messages import NEVER_TOO_OLD
from sms_router.web.console.rendering import Pages, Refused

log = logging.getLogger("sms_router.console")

OLD = 24 * 3_600_000
"""Milliseconds after which somebody who gets an answer may not know any more what they have asked."""


class Cautions(NamedTuple):
    """What somebody must have thought of before a message is answered once more."""

    old: bool = False
    unknown: bool = False
    """Its first answer may have left, so that the person may get two."""


@dataclass(frozen=True, slots=True)
class Replays:
    """The page that asks, and the form that does it."""

    desk: Desk
    pages: Pages
    find: Callable[[str], Awaitable[Episode]]

    async def show(self, visit: Visit) -> Response:
        """Show what would be sent."""
        episode = await self.find(visit.place("sid"))
        judgement, cautions = self._judge(episode)
        planned = None
        if judgement.verdict is Verdict.YES and episode.message is not None:
            planned = await self._plan(episode.message)
            judgement = planned.forbidden or judgement
        reveal = visit.reveal or self.desk.open
        return self.pages.show(
            "replay.html",
            visit.session,
            episode=episode,
            person=person_of(episode, reveal),
            body=body_of(episode, reveal),
            possible=judgement.verdict is Verdict.YES,
            why=judgement.why,
            cautions=cautions,
            plan=planned,
            reveal=reveal,
            open=self.desk.open,
        )

    async def ask(self, visit: Visit) -> Response:
        """Put the wish into the outbox, from where a running router takes it."""
        episode = await self.find(visit.place("sid"))
        judgement, cautions = self._judge(episode)
        if judgement.verdict is not Verdict.YES or episode.message is None:
            raise Refused(409, f"It is not replayed: {judgement.why}.")
        if cautions.old and visit.form.get("however_old") != "1":
            raise Refused(409, "It came long ago: tick the box to answer it all the same.")
        if cautions.unknown and visit.form.get("even_if_unknown") != "1":
            raise Refused(409, "Its answer may have left already: tick the box if it may arrive twice.")
        planned = await self._plan(episode.message)
        if planned.forbidden is not None:
            raise Refused(409, f"It is not replayed: {planned.forbidden.why}.")
        if planned.against:
            raise Refused(409, f"It is not replayed: {planned.against}.")
        days, unknown = self.desk.settings.router.retention_days, cautions.unknown

        def put(client: Redis) -> Judgement:
            return replaying.ask(client, episode, planned.scope, days, even_unknown=unknown)

        asked = await self.desk.archive.ask(put)
        if asked.verdict is not Verdict.ASKED:
            raise Refused(409, f"It is not replayed: {asked.why}.")
        log.info("the console: a replay of %s was asked for", episode.sid)
        return RedirectResponse(f"/console/messages/{episode.sid}?asked=1", 303)

    def _judge(self, episode: Episode) -> tuple[Judgement, Cautions]:
        """Say whether it may be answered once more at all, and what speaks against it."""
        now = self.desk.now
        if episode.replay is not None and not episode.replay.failed:
            return Judgement(Verdict.ALREADY, "it was replayed already, or is about to be"), Cautions()
        strict = replaying.judge(episode, now, NEVER_TOO_OLD, even_unknown=False)
        judgement = replaying.judge(episode, now, NEVER_TOO_OLD, even_unknown=True)
        old = episode.received is not None and now - episode.received > OLD
        return judgement, Cautions(old, strict.verdict is Verdict.UNKNOWN)

    async def _plan(self, message: InboundMessage) -> Plan:
        desk, now = self.desk, self.desk.now
        scope = desk.people.scope_of(message.service_sid, message.recipient)
        table, conversing = desk.people.table, desk.dispatcher.conversations is not None

        def read(client: Redis) -> tuple[Person, Talk | None]:
            person = stored_person(client, scope, message.sender)
            return person, read_talk(client, scope, message.sender, now) if conversing else None

        person, talk = await desk.archive.ask(read)
        facts, conditions = person.facts(table, now), desk.availability.conditions()
        return plan(message, scope, facts, talk, desk.dispatcher, desk.composer, conditions)
