"""Are there controls, which must pass, beside the mutants?"""

from tests.support.mutants import MUTANTS


def test_controls_exist_for_built_and_derived_images() -> None:
    """A test harness that fails every image would catch every mutant."""
    controls = [mutant for mutant in MUTANTS.values() if not mutant.caught_by]
    assert len(controls) >= 5
    assert {mutant.mode for mutant in controls} == {"built", "derived"}
