"""Each rule of the source documents stands in a step, a document or a warning of its process."""

from __future__ import annotations

import pytest

from sms_router.onboarding.steps import OnboardingKind, processes

LEASE = OnboardingKind.SHORT_CODE_LEASE
CANADA = OnboardingKind.PORT_CANADA
ABROAD = OnboardingKind.PORT_INTERNATIONAL
TOLL_FREE = OnboardingKind.PORT_TOLL_FREE

SENTENCES = [
    # Transferring a short code lease into Twilio's iConectiv/CSCA account
    (
        "Twilio's Short Code Operations team will inform you when it is time to complete these steps.",
        LEASE,
        "go-ahead",
        "Twilio tells you when to transfer the lease",
    ),
    (
        "If you attempt to transfer your lease prior to approval it could result in delays or errors.",
        LEASE,
        "go-ahead",
        "before Twilio's approval can delay the provisioning or make it fail",
    ),
    (
        "Have your current leaseholder transfer the code through the CSCA website into Twilio's account.",
        LEASE,
        "transfer",
        "transfers the lease to Twilio's account on the registry's site",
    ),
    (
        "Contact your Account Manager to obtain Twilio's CSCA Account ID.",
        LEASE,
        "go-ahead",
        "Your account manager has the account id",
    ),
    (
        "Your most recent iConectiv short code payment lease receipt.",
        LEASE,
        "transfer",
        "the latest lease receipt",
    ),
    (
        "A lease transfer letter on the owner's company letterhead, signed and dated.",
        LEASE,
        "transfer",
        "on the letterhead of the code's owner, signed and dated",
    ),
    (
        "The owner is located on the lease receipt under Customer.",
        LEASE,
        "transfer",
        "the receipt names the owner under Customer",
    ),
    (
        "We will provide you with the lease transfer letter template.",
        LEASE,
        "transfer",
        "Twilio sends the template once it has the receipt",
    ),
    (
        "As the gaining applicant, Twilio will also submit a letter to iConectiv/CSCA.",
        LEASE,
        "transfer",
        "as the gaining applicant it sends the registry a letter to the same effect",
    ),
    (
        "Twilio will align your short code billing date two weeks prior to the lease renewal date.",
        LEASE,
        "transfer",
        "two weeks before its renewal",
    ),
    (
        "Your project will be credited for any overlapping period for which you have already paid.",
        LEASE,
        "transfer",
        "credits what you have already paid for the same period",
    ),
    (
        "All short code fees will be assessed only once per billing cycle.",
        LEASE,
        "transfer",
        "once per billing cycle",
    ),
    (
        "Twilio will automatically manage your short code lease payments going forward.",
        LEASE,
        "transfer",
        "Twilio then pays for the lease",
    ),
    # International Porting Process
    ("The owner or authorized user's first and last name.", ABROAD, "request", "first and last name"),
    ("A list of each phone number you wish to port.", ABROAD, "request", "the list of the numbers"),
    ("PO Boxes are not accepted.", ABROAD, "request", "no PO box"),
    (
        "Each country requires a different LOA.",
        ABROAD,
        "request",
        "(LOA) for this country and kind of number",
    ),
    ("A Customer Service Record (CSR).", ABROAD, "request", "Customer Service Record (CSR)"),
    ("The most recent phone bill (within the last 30 days).", ABROAD, "request", "at most 30 days old"),
    (
        "The bill must include the account, name, and address information for all the numbers.",
        ABROAD,
        "request",
        "with the account, the name, and the address of every number",
    ),
    ("If complete, Twilio will provide you with the fees.", ABROAD, "quote", "once the request is complete"),
    ("You must reply if you accept and agree to pay.", ABROAD, "fees", "Answer the quote"),
    (
        "If you do not respond within three business days, you hereby authorize Twilio to port.",
        ABROAD,
        "fees",
        "your silence is consent",
    ),
    (
        "You will only be charged fees for the numbers that port successfully.",
        ABROAD,
        "quote",
        "only for the numbers that are ported successfully",
    ),
    ("Twilio will review and approve within one (1) business day.", ABROAD, "review", "1 business day"),
    (
        "You must keep your account open and active with the original carrier.",
        ABROAD,
        "carrier",
        "open and active",
    ),
    ("Do not close your account with your carrier.", ABROAD, None, "Do not close your account"),
    ("Twilio will send an email with the date.", ABROAD, "date", "sends you the port date by email"),
    (
        "Be sure to configure your phone number(s) in advance of the port date.",
        ABROAD,
        "configure",
        "before the port date",
    ),
    ("An incorrect PIN for an account.", ABROAD, None, "Get the account's PIN"),
    ("An address or zip code that doesn't match.", ABROAD, None, "exactly as in the losing carrier's"),
    ("A port request made by an unauthorized user.", ABROAD, None, "an authorized user of the account"),
    (
        "It may be necessary to contact your current carrier; this may add an undetermined time.",
        ABROAD,
        None,
        "Ask the losing carrier what it requires; that may take some time",
    ),
    ("The monthly recurring charge will be billed.", ABROAD, "live", "billed from now on"),
    ("You've verified your numbers are found in your project.", ABROAD, "live", "it is on your account"),
    # Canada Porting Beta
    (
        "The Beta is for Landline and Mobile numbers only.",
        CANADA,
        None,
        "Canadian number (landline or mobile)",
    ),
    ("Toll-free numbers can be submitted via the Console.", TOLL_FREE, "request", "console's porting tool"),
    (
        "You may enter any American address in the web form.",
        TOLL_FREE,
        "request",
        "with a Canadian service address enter any US one, and put the Canadian one on the LOA",
    ),
    ("The Twilio account SID.", CANADA, "request", "the sid of the Twilio account that gets the numbers"),
    ("This must be an actual physical address.", CANADA, "request", "a physical one in Canada, no PO box"),
    ("LOA signed by an authorized user.", CANADA, "request", "signed by an authorized user"),
    (
        "The LOA must match the name and address provided by your carrier.",
        CANADA,
        "request",
        "with name and address as the losing carrier has recorded them",
    ),
    ("Customer Service Record (CSR).", CANADA, "request", "Customer Service Record (CSR)"),
    ("The most recent phone bill (within the last 30 days).", CANADA, "request", "at most 30 days old"),
    ("Twilio reviews your port request within 1 business day.", CANADA, "review", "1 business day"),
    ("Be sure to keep your phone numbers and account active.", CANADA, None, "Keep the number"),
    ("This can take approximately 1 week to complete.", CANADA, "carrier", "about 1 week"),
    ("Twilio will send you an email with your porting date.", CANADA, "date", "the port date by email"),
    ("Configure Voice and SMS application.", CANADA, "configure", "before the port date"),
    ("Twilio will send you an email confirming that your port has completed.", CANADA, "live", "by email"),
    ("You may verify that traffic has begun routing via Twilio.", CANADA, "live", "to test it"),
    (
        "The current per-number rate will be provided by the porting operator in response to your request.",
        CANADA,
        None,
        "names the fee in its answer to the request",
    ),
    ("Twilio charges a one-time fee, billed after completion.", CANADA, None, "a fee once for each number"),
]


@pytest.mark.parametrize(
    ("sentence", "kind", "step", "text"), SENTENCES, ids=[row[0][:60] for row in SENTENCES]
)
def test_a_sentence_of_the_documents_stands_in_its_step_or_process(
    sentence: str, kind: OnboardingKind, step: str | None, text: str
) -> None:
    process = processes()[kind]
    where = process if step is None else next(each for each in process.steps if each.name == step)
    assert text in where.model_dump_json(), sentence
