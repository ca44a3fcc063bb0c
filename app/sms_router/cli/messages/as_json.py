"""One message and its story, for programs."""

from __future__ import annotations

from sms_router.privacy import mask_text
from sms_router.routing.history.record import AnswerRecord, MessageRecord, OutboundAttempt
from sms_router.routing.history.timeline import body_of, build_timeline, format_iso, number_of


def as_json(episode: MessageRecord, reveal: bool) -> dict[str, object]:
    """Return the message for programs; times are ISO 8601."""
    return {
        "sid": episode.sid,
        "account_sid": episode.account_sid,
        "received": format_iso(episode.received),
        "from": number_of(episode, reveal),
        "to": episode.message.recipient if episode.message else None,
        "body": body_of(episode, reveal),
        "outcome": episode.outcome,
        "rule": episode.rule,
        "sender": episode.sender,
        "trail": list(episode.trail),
        "answer": _texts(episode.answer, reveal),
        "answered": format_iso(episode.answer.at) if episode.answer else None,
        "late": _document(episode.late_reply, reveal),
        "replay": _replay(episode, reveal),
        "by_rest": [_sending(sending) for sending in episode.attempts],
        "causes": [cause.text for cause in episode.causes],
        "cause": episode.causes[0].text if episode.causes else None,
        "sent": [
            {
                "sid": sent.sid,
                "piece": sent.part.name if sent.part else None,
                "from": sent.sender,
                "status": sent.status,
                "error_code": sent.error_code or None,
                "statuses": [{"status": each.status, "at": format_iso(each.at)} for each in sent.statuses],
            }
            for sent in episode.sent
        ],
        "story": [
            {"at": format_iso(step.at), "what": step.type.value, "sid": step.sid, "lines": list(step.lines)}
            for step in build_timeline(episode, reveal)
        ],
    }


def _document(said: AnswerRecord | None, reveal: bool) -> dict[str, object] | None:
    if said is None:
        return None
    return {
        "at": format_iso(said.at),
        "rule": said.rule,
        "sender": said.sender,
        "trail": list(said.trail),
        "answer": _texts(said, reveal),
    }


def _replay(episode: MessageRecord, reveal: bool) -> dict[str, object] | None:
    if episode.replay is None:
        return None
    done = _document(episode.replay.answer, reveal) or {}
    return {
        "asked": format_iso(episode.replay.requested_at),
        "failed": episode.replay.failure or None,
        **done,
    }


def _sending(sending: OutboundAttempt) -> dict[str, object]:
    return {
        "piece": sending.part.name,
        "state": sending.state.value,
        "at": format_iso(sending.at),
        "why": sending.reason,
        "result": sending.failure or None,
        "sender": sending.sender or None,
        "sid": sending.sid or None,
        "trail": list(sending.trail),
    }


def _texts(said: AnswerRecord | None, reveal: bool) -> list[str]:
    texts = said.texts if said is not None else ()
    return list(texts) if reveal else [mask_text(text) for text in texts]
