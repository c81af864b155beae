"""Are there controls beside the mutants?"""

from tests.support.mutants import MUTANTS


def test_controls_exist_for_built_and_derived_images() -> None:
    """A judge that refuses everything would kill every mutant."""
    controls = [mutant for mutant in MUTANTS.values() if not mutant.caught_by]
    assert len(controls) >= 5
    assert {mutant.mode for mutant in controls} == {"built", "derived"}
