"""Are there controls beside the mutants?"""

from tests.support.mutants import MUTANTS


def test_there_are_controls_of_both_kinds() -> None:
    """A judge that refuses everything would kill every mutant."""
    controls = [mutant for mutant in MUTANTS.values() if not mutant.caught_by]
    assert len(controls) >= 5
    assert {mutant.mode for mutant in controls} == {"built", "derived"}
