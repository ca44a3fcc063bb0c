"""One message and its story, for programs."""

from __future__ import annotations

from sms_router.privacy import mask_text
from sms_router.routing.history.record import AnswerRecord, MessageRecord, OutboundAttempt
from sms_router.routing.history.timeline import body_of, build_timeline, iso, person_of


def as_json(episode: MessageRecord, reveal: bool) -> dict[str, object]:
    """Return the message for programs; times are ISO 8601."""
    return {
        "sid": episode.sid,
        "account_sid": episode.account_sid,
        "received": iso(episode.received),
        "from": person_of(episode, reveal),
        "to": episode.message.recipient if episode.message else None,
        "body": body_of(episode, reveal),
        "outcome": episode.outcome,
        "rule": episode.rule,
        "sender": episode.sender,
        "trail": list(episode.trail),
        "answer": _texts(episode.answer, reveal),
        "answered": iso(episode.answer.at) if episode.answer else None,
        "late": _document(episode.late, reveal),
        "replay": _replay(episode, reveal),
        "by_rest": [_sending(sending) for sending in episode.sendings],
        "causes": [cause.text for cause in episode.causes],
        "cause": episode.causes[0].text if episode.causes else None,
        "sent": [
            {
                "sid": sent.sid,
                "piece": sent.piece.name if sent.piece else None,
                "from": sent.sender,
                "status": sent.status,
                "error_code": sent.error_code or None,
                "statuses": [{"status": each.status, "at": iso(each.at)} for each in sent.statuses],
            }
            for sent in episode.sent
        ],
        "story": [
            {"at": iso(step.at), "what": step.what.value, "sid": step.sid, "lines": list(step.lines)}
            for step in build_timeline(episode, reveal)
        ],
    }


def _document(said: AnswerRecord | None, reveal: bool) -> dict[str, object] | None:
    if said is None:
        return None
    return {
        "at": iso(said.at),
        "rule": said.rule,
        "sender": said.sender,
        "trail": list(said.trail),
        "answer": _texts(said, reveal),
    }


def _replay(episode: MessageRecord, reveal: bool) -> dict[str, object] | None:
    if episode.replay is None:
        return None
    done = _document(episode.replay.said, reveal) or {}
    return {"asked": iso(episode.replay.asked), "failed": episode.replay.failed or None, **done}


def _sending(sending: OutboundAttempt) -> dict[str, object]:
    return {
        "piece": sending.piece.name,
        "state": sending.state.value,
        "at": iso(sending.at),
        "why": sending.why,
        "result": sending.result or None,
        "sender": sending.sender or None,
        "sid": sending.sid or None,
        "trail": list(sending.trail),
    }


def _texts(said: AnswerRecord | None, reveal: bool) -> list[str]:
    texts = said.texts if said is not None else ()
    return list(texts) if reveal else [mask_text(text) for text in texts]
