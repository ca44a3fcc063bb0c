from loadtests.chaos.audit import Audit
from loadtests.chaos.faults import select_scenarios
from loadtests.chaos.report import ScenarioResult, markdown

GOOD = Audit(460, 460, 2, 0, 0, 0, 0, 0.3391, ())


def test_the_readme_has_a_row_per_scenario() -> None:
    results = [
        ScenarioResult(scenario, GOOD)
        for scenario in select_scenarios("valkey-killed,valkey-killed+disk-full")
    ]
    text = markdown(results, "Measured today.")
    assert text.startswith("Measured today.\n\n| fault |")
    assert "| valkey-killed | 460 | 460 | 2 | 0 | 0 | 0 | 0 | 0 | 0/0 | 339 |" in text
    singles, pairs = text.split("<details>\n<summary>Pairs of faults: 1</summary>")
    assert "| valkey-killed + disk-full | 460 |" in pairs
    assert "disk-full" not in singles
