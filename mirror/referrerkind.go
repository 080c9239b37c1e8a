package mirror

import "strings"

// ReferrerKind says what a referrer is, as far as its type tells.
type ReferrerKind string

// The kinds of referrers.
const (
	SignatureReferrer   ReferrerKind = "signature"
	AttestationReferrer ReferrerKind = "attestation"
	SBOMReferrer        ReferrerKind = "sbom"
	OtherReferrer       ReferrerKind = "other"
)

// ReferrerKindOf returns what an artifact type, or the end of a tag of cosign, stands for.
func ReferrerKindOf(artifactType string) ReferrerKind {
	text := strings.ToLower(artifactType)
	for _, k := range []struct {
		kind  ReferrerKind
		words []string
	}{
		{SBOMReferrer, []string{"sbom", "spdx", "cyclonedx", "syft"}},
		{AttestationReferrer, []string{".att", "attestation", "in-toto", "intoto", "dsse", "provenance", "slsa"}},
		{SignatureReferrer, []string{".sig", "signature", "notary", "cosign", "sigstore"}},
	} {
		for _, word := range k.words {
			if strings.Contains(text, word) {
				return k.kind
			}
		}
	}
	return OtherReferrer
}

// Attached says which kinds of referrers are stored of an image or of the index that it is an entry of: by their subject, or
// by a tag as cosign names it. Nothing has verified them. Attestations that are entries of an index do not count.
type Attached struct {
	Signed   bool `json:"signed,omitempty"`   // a signature is stored
	Attested bool `json:"attested,omitempty"` // an attestation is stored
	SBOM     bool `json:"sbom,omitempty"`     // an SBOM is stored that is not part of an attestation
}

// Add adds a referrer of a kind.
func (a *Attached) Add(kind ReferrerKind) {
	switch kind {
	case SignatureReferrer:
		a.Signed = true
	case AttestationReferrer:
		a.Attested = true
	case SBOMReferrer:
		a.SBOM = true
	}
}

// Has reports whether there is a referrer of a kind. It does not know other kinds than those of Add.
func (a Attached) Has(kind ReferrerKind) bool {
	return kind == SignatureReferrer && a.Signed || kind == AttestationReferrer && a.Attested || kind == SBOMReferrer && a.SBOM
}

// Or returns the kinds that a or b has.
func (a Attached) Or(b Attached) Attached {
	return Attached{Signed: a.Signed || b.Signed, Attested: a.Attested || b.Attested, SBOM: a.SBOM || b.SBOM}
}

// ParseAttachedKind parses a kind that [Attached] knows. The error for any other text is a [CodeUnsupported].
func ParseAttachedKind(text string) (ReferrerKind, error) {
	switch kind := ReferrerKind(text); kind {
	case SignatureReferrer, AttestationReferrer, SBOMReferrer:
		return kind, nil
	}
	return "", Errorf(CodeUnsupported, "%s is not a kind of referrer: want signature, attestation or sbom", quote(text))
}
