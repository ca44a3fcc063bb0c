from loadtests.chaos.audit import Audit
from loadtests.chaos.faults import scenarios
from loadtests.chaos.report import Played, markdown

GOOD = Audit(460, 460, 2, 0, 0, 0, 0, 0.3391, ())


def test_the_readme_has_a_row_for_each_scenario() -> None:
    played = [Played(scenario, GOOD) for scenario in scenarios("valkey-killed,valkey-killed+disk-full")]
    text = markdown(played, "Measured today.")
    assert text.startswith("Measured today.\n\n| broken |")
    assert "| valkey-killed | 460 | 460 | 2 | 0 | 0 | 0 | 0 | 0 | 0/0 | 339 |" in text
    assert "| valkey-killed + disk-full | 460 |" in text
