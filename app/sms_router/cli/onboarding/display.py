"""Numbers in onboarding as text for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date

from sms_router.cli.output import print_line, print_table
from sms_router.cli.times import format_time, iso
from sms_router.onboarding.checklist import Checklist, HistoryAction
from sms_router.onboarding.documents import RecordedDocument
from sms_router.onboarding.porting_api import Portability
from sms_router.onboarding.repository import OnboardingState
from sms_router.onboarding.steps import OnboardingKind, OnboardingStep, processes
from sms_router.senders.pending import live_notice


def print_list(state: OnboardingState, at: float, *, everything: bool) -> None:
    """Print a table of the numbers; ``everything`` includes those that are live."""
    checklists = state.checklists if everything else state.pending
    if not checklists:
        print_line("No number is in onboarding. Record one: sms-router onboarding add NUMBER")
        return
    rows = [
        (
            checklist.number,
            checklist.kind.label,
            _due(checklist),
            _actor(checklist),
            _expected(checklist),
            _trouble(checklist, state, at),
        )
        for checklist in sorted(checklists, key=lambda checklist: _urgency(checklist, at))
    ]
    print_table(("number", "process", "now", "who acts", "expected", ""), rows)


def print_checklist(checklist: Checklist, state: OnboardingState, at: float) -> None:
    process = checklist.process
    print_line(f"{checklist.number}: {process.title}", "bold")
    for name, value in _facts(checklist, state, at):
        print_line(f"  {name}: {value}")
    rows = [
        (_step_state(checklist, step), step.name, step.actor.label, _what(checklist, step))
        for step in process.steps
    ]
    print_table(("", "step", "who", "what"), rows)
    if checklist.rejected is not None:
        print_remedies(checklist)
    step = checklist.current_step
    if step is not None:
        _print_lines("Documents:", tuple(map(_document, checklist.documents)))
        _print_step(f"For {step.name} you need:", checklist, step, checklist.document_problems(at))
        print_line(f"Source of {step.name}: {step.source}", "dim")
    print_table(
        ("when", "who", "what"),
        [
            (format_time(entry.at * 1000), entry.who, _entry(entry.action, entry.detail))
            for entry in checklist.history
        ],
    )
    print_line(f"Source: {process.source}", "dim")


def _print_step(title: str, checklist: Checklist, step: OnboardingStep, problems: Sequence[str]) -> None:
    _print_lines(title, step.needs)
    _print_lines("If it is not done:", (step.otherwise,))
    _print_lines("Missing, or to be refused:", problems)
    _print_lines("Note:", dict.fromkeys((*step.warnings, *checklist.process.warnings)))


def print_remedies(checklist: Checklist) -> None:
    _print_lines(f"Rejected: {checklist.rejected}", checklist.process.remedies(checklist.rejected or ""))
    print_line(f"Once it is resubmitted: sms-router onboarding done {checklist.number}")


def print_state(checklist: Checklist, at: float) -> None:
    if checklist.history[-1].action is HistoryAction.NOTE:
        print_line(f"{checklist.number}: {checklist.history[-1].detail}")
    if checklist.is_finished:
        print_line(f"{checklist.number} is live, on every router within a second.")
        print_line(
            f"Check that it is in its Service: sms-router senders list --service {checklist.service_sid}"
        )
    elif checklist.rejected is not None:
        print_remedies(checklist)
    elif (step := checklist.current_step) is not None:
        expected = checklist.expected or f"usually by {checklist.usual_end}"
        print_line(
            f"{checklist.number}: {checklist.process.title}; expected {expected}; not used before it is live."
        )
        due = f" until {checklist.step_due}" if checklist.step_due is not None else ""
        print_line(f"Next step: {step.name}, by {step.actor.label}{due}: {_what(checklist, step)}")
        _print_step(
            "You need:", checklist, step, checklist.document_problems(at) if checklist.documents else ()
        )
        print_line(f"Once it is done: sms-router onboarding done {checklist.number}")


def print_changes(changes: Sequence[tuple[Checklist, Checklist]], pending: int) -> None:
    if not changes:
        print_line("No progress." if pending else "No number is in onboarding.")
    for before, after in changes:
        for entry in after.history[len(before.history) :] or after.history[-1:]:
            print_line(f"{after.number}: {_entry(entry.action, entry.detail)}")
        if after.is_finished:
            print_line(f"{after.number} is live, on every router within a second.")
        elif after.rejected is not None:
            print_remedies(after)


def print_portability(portability: Portability, kind: OnboardingKind) -> None:
    description = " ".join(filter(None, (portability.number_type, portability.country)))
    can = "can" if portability.portable else "cannot"
    print_line(f"{portability.number} ({description}) {can} be ported by Twilio's API.")
    if portability.reason:
        print_line(f"Twilio's reason: {portability.reason}")
    if portability.pin_required:
        print_line("Required: its PIN, and the account number at the losing carrier.")
    if portability.portable or kind is not OnboardingKind.PORT_US:
        process = processes()[kind]
        print_line(f"Process: {process.title}, usually {process.usually}.")
        request = next(step for step in process.steps if step.name == "request")
        print_line(request.task.format(number=portability.number))
        _print_lines("You need:", request.needs)
        print_line(f"Record it: sms-router onboarding add {portability.number} --kind {kind}")


def as_json(checklist: Checklist, state: OnboardingState, at: float) -> dict[str, object]:
    now, texted = checklist.current_step, state.texted.get(checklist.number)
    return {
        "number": checklist.number,
        "kind": checklist.kind.value,
        "country": checklist.country,
        "service": checklist.service_sid,
        "port_in_request": checklist.request_sid,
        "live": checklist.is_finished,
        "step": now.name if now is not None else None,
        "who": checklist.next_actor.value if checklist.next_actor is not None else None,
        "no_calls": checklist.has_no_calls,
        "documents": [
            {
                "document": document.kind.value,
                "date": document.day,
                "name": document.name or None,
                "address": document.address or None,
            }
            for document in checklist.documents
        ],
        "document_problems": list(checklist.document_problems(at)),
        "renewal": checklist.renewal,
        "billing": checklist.billing_day if checklist.is_transferred else None,
        "rejected": checklist.rejected,
        "expected": checklist.expected,
        "usually_by": checklist.usual_end,
        "due": checklist.step_due,
        "overdue": checklist.overdue_reason(at),
        "texted": iso(texted) if texted is not None else None,
        "steps": [
            {
                "step": step.name,
                "who": step.actor.value,
                "state": _step_state(checklist, step),
                "what": step.task.format(number=checklist.number),
                "needs": list(step.needs),
                "warnings": list(step.warnings),
                "usually": step.usually or None,
                "otherwise": step.otherwise,
                "source": step.source,
            }
            for step in checklist.process.steps
        ],
        "warnings": list(checklist.process.warnings),
        "mend": checklist.process.remedies(checklist.rejected) if checklist.rejected is not None else [],
        "history": [
            {"when": iso(entry.at), "who": entry.who, "action": entry.action.value, "detail": entry.detail}
            for entry in checklist.history
        ],
        "source": checklist.process.source,
    }


def _billing(checklist: Checklist) -> str:
    if not checklist.is_transferred:
        return "its holder pays until it is transferred; Twilio then credits the period that is paid already"
    return f"Twilio bills it on {checklist.billing_day} and credits the period that is paid already"


def _document(document: RecordedDocument) -> str:
    shown = "".join(f", {value}" for value in (document.name, document.address) if value)
    return f"{document.kind}: {document.day}{shown}"


def _facts(checklist: Checklist, state: OnboardingState, at: float) -> list[tuple[str, str]]:
    facts = [
        ("for", checklist.service_sid),
        ("expected", _expected(checklist)),
        ("takes", checklist.process.usually),
    ]
    if checklist.request_sid is not None:
        facts.insert(1, ("port-in request", checklist.request_sid))
    if not checklist.is_finished:
        facts.append(("who acts next", f"{_actor(checklist)} ({_due(checklist)})"))
    if checklist.renewal is not None:
        facts.append(("lease renewed on", f"{checklist.renewal}; {_billing(checklist)}"))
    if (trouble := checklist.overdue_reason(at)) is not None:
        facts.append(("late", trouble))
    if (texted := state.texted.get(checklist.number)) is not None:
        first_text = f"first texted through Twilio at {format_time(texted * 1000)}"
        facts.append(("texted", first_text if checklist.process.gradual else live_notice(checklist.number)))
    return facts


def _print_lines(title: str, lines: Collection[str]) -> None:
    if lines:
        print_line(title, "bold")
        for line in lines:
            print_line(f"  - {line}")


def _urgency(checklist: Checklist, at: float) -> tuple[bool, bool, date]:
    is_on_time = checklist.rejected is None and checklist.overdue_reason(at) is None
    return checklist.is_finished, is_on_time, checklist.expected or checklist.usual_end


def _due(checklist: Checklist) -> str:
    step = checklist.current_step.name if checklist.current_step is not None else ""
    state = "live" if checklist.is_finished else step if checklist.rejected is None else "rejected"
    return f"{state}, by {checklist.step_due}" if checklist.step_due is not None else state


def _actor(checklist: Checklist) -> str:
    return checklist.next_actor.label if checklist.next_actor is not None else ""


def _expected(checklist: Checklist) -> str:
    if checklist.expected is not None:
        return checklist.expected.isoformat()
    return "" if checklist.is_finished else f"usually by {checklist.usual_end}"


def _trouble(checklist: Checklist, state: OnboardingState, at: float) -> str:
    if checklist.number in state.texted and not checklist.process.gradual:
        return "was texted: it is live"
    overdue = checklist.overdue_reason(at)
    return f"late: {overdue}" if overdue is not None else ""


def _step_state(checklist: Checklist, step: OnboardingStep) -> str:
    if step.name in checklist.done:
        return "done"
    if step == checklist.current_step:
        return "rejected" if checklist.rejected is not None else "now"
    return "next"


def _what(checklist: Checklist, step: OnboardingStep) -> str:
    what = step.task.format(number=checklist.number)
    return f"{what} Usually {step.usually}." if step.usually else what


def _entry(action: HistoryAction, detail: str) -> str:
    if action is HistoryAction.NOTE:
        return detail
    return f"{action.value}: {detail}" if detail else action.value
