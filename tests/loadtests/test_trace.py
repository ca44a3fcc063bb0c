from pathlib import Path

import pytest

from loadtests.trace import Before, Trace, Webhook, trace


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return trace(Webhook.TEMPLATE, tmp_path_factory.mktemp("template"))


def test_a_template_reply_passes_through_few_files_and_functions(template: Trace) -> None:
    assert len(template.files) <= 28
    assert len(template.calls) + template.builtin_calls <= 200


def test_one_whose_sender_is_selected_anew_does_not_pass_through_many_more(tmp_path: Path) -> None:
    selected = trace(Webhook.TEMPLATE, tmp_path, Before.OTHER_AREAS)
    assert "senders/selection.py" in selected.files
    assert len(selected.files) <= 29
    assert len(selected.calls) + selected.builtin_calls <= 245


def test_the_list_begins_at_the_asgi_entry_and_has_the_answers_of_redis(template: Trace) -> None:
    assert str(template).startswith(
        "web/routes.py: WebhookRouter.__call__\n  web/webhooks.py: InboundEndpoint"
    )
    assert "store/connection.py" in template.files


@pytest.mark.parametrize(
    ("webhook", "file"),
    [(Webhook.HANDLER, "routing/handler/handler.py"), (Webhook.STATUS, "twilio/status.py")],
)
def test_handlers_and_status_callbacks_are_traced_too(webhook: Webhook, file: str, tmp_path: Path) -> None:
    assert file in trace(webhook, tmp_path).files
