from sms_router.sandbox.identifiers import Identifiers


def test_a_seed_makes_the_identifiers_repeatable() -> None:
    first, second, other = Identifiers(1), Identifiers(1), Identifiers(2)
    assert [first.sid("SM") for _ in range(3)] == [second.sid("SM") for _ in range(3)]
    assert other.sid("SM") != Identifiers(1).sid("SM")
    assert Identifiers().sid("SM") != Identifiers().sid("SM")
