"""How the onboarding commands show numbers on their way: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sms_router.cli.output import plain, print_table, stdout
from sms_router.cli.times import iso
from sms_router.cli.twilio_access import print_line
from sms_router.onboarding.checklist import Checklist, HistoryAction
from sms_router.onboarding.porting_api import Portability
from sms_router.onboarding.repository import OnboardingState
from sms_router.onboarding.steps import OnboardingKind, OnboardingStep, processes
from sms_router.senders.pending import live_notice


def print_list(arrivals: OnboardingState, at: float, *, everything: bool) -> None:
    """Print a line for each number on its way."""
    chosen = arrivals.checklists if everything else arrivals.pending
    if not chosen:
        print_line("No number is on its way. Keep one: sms-router onboarding add NUMBER")
        return
    rows = [
        (
            each.number,
            each.kind.label,
            _due(each),
            _actor(each),
            _when(each),
            _trouble(each, arrivals, at),
        )
        for each in sorted(chosen, key=lambda each: _urgency(each, at))
    ]
    print_table(("number", "comes by", "now", "who acts", "expected", ""), rows)


def print_checklist(checklist: Checklist, arrivals: OnboardingState, at: float) -> None:
    """Print everything about one number."""
    process = checklist.process
    stdout.print(plain(f"{checklist.number}: {process.title}", "bold"), soft_wrap=True)
    for name, value in _facts(checklist, arrivals, at):
        stdout.print(plain(f"  {name}: {value}"), soft_wrap=True)
    rows = [
        (_state(checklist, step), step.name, step.actor.label, _what(checklist, step))
        for step in process.steps
    ]
    print_table(("", "step", "who", "what"), rows)
    if checklist.rejected is not None:
        print_mendings(checklist)
    step = checklist.current_step
    if step is not None:
        _print_lines(f"For {step.name} you need:", step.needs)
        _print_lines("Mind:", dict.fromkeys((*step.warnings, *process.warnings)))
    print_table(
        ("when (UTC)", "who", "what"),
        [
            (iso(each.at)[:16].replace("T", " "), each.who, _entry(each.action, each.detail))
            for each in checklist.history
        ],
    )
    stdout.print(plain(f"Source: {process.source}", "dim"), soft_wrap=True)


def print_mendings(checklist: Checklist) -> None:
    """Print what mends a rejection, and how to say that it was mended."""
    _print_lines(f"Rejected: {checklist.rejected}", checklist.process.remedies(checklist.rejected or ""))
    print_line(f"Once it is sent in again: sms-router onboarding done {checklist.number}")


def print_state(checklist: Checklist) -> None:
    """Say in a line or two how far a number is, once that has changed."""
    if checklist.is_finished:
        print_line(f"{checklist.number} is live. Every router uses it within a second.")
        print_line(
            f"See that it is in its Service: sms-router senders list --service {checklist.service_sid}"
        )
    elif checklist.rejected is not None:
        print_mendings(checklist)
    elif (step := checklist.current_step) is not None:
        when = checklist.expected or f"by {checklist.usual_end} as a rule"
        print_line(
            f"{checklist.number}: {checklist.process.title}; expected {when}; not used before it is live."
        )
        print_line(f"Next is {step.name}, by {step.actor.label}: {_what(checklist, step)}")
        _print_lines("You need:", step.needs)
        _print_lines("Mind:", dict.fromkeys((*step.warnings, *checklist.process.warnings)))
        print_line(f"Once it is done: sms-router onboarding done {checklist.number}")


def print_news(news: Sequence[tuple[Checklist, Checklist]], pending: int) -> None:
    """Say what has moved."""
    if not news:
        print_line("Nothing has moved." if pending else "No number is on its way.")
    for before, after in news:
        for entry in after.history[len(before.history) :] or after.history[-1:]:
            print_line(f"{after.number}: {_entry(entry.action, entry.detail)}")
        if after.is_finished:
            print_line(f"{after.number} is live. Every router uses it within a second.")
        elif after.rejected is not None:
            print_mendings(after)


def print_portability(told: Portability, kind: OnboardingKind) -> None:
    """Say whether a number can be ported by the API, and else which way it comes in."""
    what = " ".join(filter(None, (told.number_type, told.country)))
    print_line(f"{told.number} ({what}) {'can' if told.portable else 'cannot'} be ported by Twilio's API.")
    if told.reason:
        print_line(f"Twilio says: {told.reason}")
    if told.pin_required:
        print_line("Its PIN and the account number with the losing carrier are needed.")
    if told.portable or kind is not OnboardingKind.PORT_US:
        process = processes()[kind]
        print_line(f"It comes in as {process.title}, usually {process.usually}.")
        request = next(step for step in process.steps if step.name == "request")
        print_line(request.task.format(number=told.number))
        _print_lines("You need:", request.needs)
        print_line(f"Keep it: sms-router onboarding add {told.number} --kind {kind}")


def as_json(checklist: Checklist, arrivals: OnboardingState, at: float) -> dict[str, object]:
    """Return everything about one number for a program."""
    step, texted = checklist.current_step, arrivals.texted.get(checklist.number)
    return {
        "number": checklist.number,
        "kind": checklist.kind.value,
        "country": checklist.country,
        "service": checklist.service_sid,
        "port_in_request": checklist.request_sid,
        "live": checklist.is_finished,
        "step": step.name if step is not None else None,
        "who": checklist.next_actor.value if checklist.next_actor is not None else None,
        "rejected": checklist.rejected,
        "expected": checklist.expected.isoformat() if checklist.expected is not None else None,
        "usually_by": checklist.usual_end.isoformat(),
        "due": checklist.step_due.isoformat() if checklist.step_due is not None else None,
        "overdue": checklist.overdue_reason(at),
        "texted": iso(texted) if texted is not None else None,
        "steps": [
            {
                "step": each.name,
                "who": each.actor.value,
                "state": _state(checklist, each),
                "what": each.task.format(number=checklist.number),
                "needs": list(each.needs),
                "warnings": list(each.warnings),
                "usually": each.usually or None,
            }
            for each in checklist.process.steps
        ],
        "warnings": list(checklist.process.warnings),
        "mend": list(checklist.process.remedies(checklist.rejected))
        if checklist.rejected is not None
        else [],
        "history": [
            {"when": iso(each.at), "who": each.who, "action": each.action.value, "detail": each.detail}
            for each in checklist.history
        ],
        "source": checklist.process.source,
    }


def _facts(checklist: Checklist, arrivals: OnboardingState, at: float) -> list[tuple[str, str]]:
    facts = [
        ("for", checklist.service_sid),
        ("expected", _when(checklist)),
        ("takes", checklist.process.usually),
    ]
    if checklist.request_sid is not None:
        facts.insert(1, ("port-in request", checklist.request_sid))
    if not checklist.is_finished:
        facts.append(("who acts next", f"{_actor(checklist)} ({_due(checklist)})"))
    trouble = checklist.overdue_reason(at)
    if trouble is not None:
        facts.append(("late", trouble))
    texted = arrivals.texted.get(checklist.number)
    if texted is not None:
        told = f"first texted through Twilio at {iso(texted)}"
        facts.append(("texted", told if checklist.process.gradual else live_notice(checklist.number)))
    return facts


def _print_lines(title: str, lines: tuple[str, ...] | dict[str, None]) -> None:
    if lines:
        stdout.print(plain(title, "bold"), soft_wrap=True)
        for line in lines:
            stdout.print(plain(f"  - {line}"), soft_wrap=True)


def _urgency(checklist: Checklist, at: float) -> tuple[bool, bool, date]:
    """What is rejected or late comes first, then what is expected soonest."""
    well = checklist.rejected is None and checklist.overdue_reason(at) is None
    return checklist.is_finished, well, checklist.expected or checklist.usual_end


def _stands(checklist: Checklist) -> str:
    if checklist.is_finished:
        return "live"
    if checklist.rejected is not None:
        return "rejected"
    return checklist.current_step.name if checklist.current_step is not None else ""


def _due(checklist: Checklist) -> str:
    return (
        f"{_stands(checklist)}, by {checklist.step_due}"
        if checklist.step_due is not None
        else _stands(checklist)
    )


def _actor(checklist: Checklist) -> str:
    return checklist.next_actor.label if checklist.next_actor is not None else ""


def _when(checklist: Checklist) -> str:
    if checklist.expected is not None:
        return checklist.expected.isoformat()
    return "" if checklist.is_finished else f"usually by {checklist.usual_end}"


def _trouble(checklist: Checklist, arrivals: OnboardingState, at: float) -> str:
    if checklist.number in arrivals.texted and not checklist.process.gradual:
        return "was texted: it is live"
    overdue = checklist.overdue_reason(at)
    return f"late: {overdue}" if overdue is not None else ""


def _state(checklist: Checklist, step: OnboardingStep) -> str:
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
