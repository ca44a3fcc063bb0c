from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from loadtests.workload.contacts import make_contact
from loadtests.workload.texts import HOURS, WITH_PICTURES
from loadtests.workload.webhook import Account, Signer, WebhookBuilder
from sms_router.twilio.form import parse_form
from sms_router.twilio.inbound import InboundMessage, parse_inbound
from sms_router.twilio.status import Receipt, parse_receipt

ACCOUNT = Account("AC" + "1" * 32, "a-token", "MG" + "1" * 32, "https://sms.example.com/twilio")
SID = "SM" + "a" * 32
BUILDER = WebhookBuilder(ACCOUNT)


@given(
    st.sampled_from(["https://sms.example.com/sms", "http://127.0.0.1:8000/sms/status?reply=SM1.0"]),
    st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=8),
    st.text("abc012", min_size=1, max_size=40),
)
def test_signatures_are_those_of_the_official_library(
    url: str, parameters: dict[str, str], token: str
) -> None:
    assert Signer(token).sign(url, parameters) == RequestValidator(token).compute_signature(url, parameters)


def test_a_signer_can_sign_repeatedly() -> None:
    signer = Signer("a-token")
    assert signer.sign("https://a", {"b": "c"}) == signer.sign("https://a", {"b": "c"})


def test_the_request_has_the_signed_parameters() -> None:
    parameters = BUILDER.inbound_parameters(SID, make_contact(0), HOURS)
    request = BUILDER.post("/sms", parameters, "a-try")
    assert dict(parse_form(request.body)) == parameters
    signature = request.headers["X-Twilio-Signature"]
    validator = RequestValidator(ACCOUNT.token)
    assert validator.validate("https://sms.example.com/twilio/sms", parameters, signature)


def test_a_whole_url_is_called_by_its_path() -> None:
    url = f"{ACCOUNT.public_url}/sms/status?reply=SM1.0"
    request = BUILDER.post(url, {"MessageSid": "SM1"}, "a-try")
    assert request.path == "/sms/status?reply=SM1.0"
    assert RequestValidator(ACCOUNT.token).validate(
        url, {"MessageSid": "SM1"}, request.headers["X-Twilio-Signature"]
    )


def test_the_router_accepts_the_message() -> None:
    contact = make_contact(4)
    message = parse_inbound(BUILDER.inbound_parameters(SID, contact, WITH_PICTURES))
    assert isinstance(message, InboundMessage)
    assert (message.sid, message.sender, message.from_city) == (SID, contact.number, "SAN FRANCISCO")
    assert [media.url for media in message.media] == list(WITH_PICTURES.pictures)


def test_the_router_accepts_the_status_callback() -> None:
    receipt = parse_receipt(BUILDER.status_parameters(SID, make_contact(4), "12345", "delivered"), None)
    assert isinstance(receipt, Receipt)
    assert receipt.status.value == "delivered"


def test_the_fallback_request_has_the_error() -> None:
    parameters = BUILDER.fallback_parameters(BUILDER.inbound_parameters(SID, make_contact(0), HOURS), 11205)
    assert parameters["ErrorCode"] == "11205"
    assert parameters["ErrorUrl"] == "https://sms.example.com/twilio/sms"
    assert parameters["MessageSid"] == SID
