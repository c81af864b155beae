"""The statements that are published with an image, by the type of their predicate."""

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
SBOM = "https://cyclonedx.org/bom"
TESTS = "https://in-toto.io/attestation/test-result/v0.1"
NAMES = {
    SIGNATURE: "signature",
    PROVENANCE: "provenance",
    SBOM: "SBOM",
    TESTS: "test results",
}
# One for the whole release, and one for each architecture.
OF_INDEX, OF_IMAGE = (SIGNATURE, PROVENANCE), (SBOM, TESTS)
