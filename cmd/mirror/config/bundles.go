package config

import (
	"fmt"

	"airmirror/mirror"
	"airmirror/sync/signature"
	"airmirror/sync/transfer"
)

// Bundles configures which bundles are imported.
type Bundles struct {
	TrustedKeys      []string `yaml:"trustedKeys"` // public keys, or files of public keys, in minisign's format
	RequireSignature bool     `yaml:"requireSignature"`
	Destination      string   `yaml:"destination"`
}

// checkDestination validates the name of the destination, which has the grammar of tags.
func (c Bundles) checkDestination() error {
	if c.Destination != "" && !mirror.ValidTag(c.Destination) {
		return fmt.Errorf("%q is not the name of a destination: use letters, digits, dots, dashes and underscores", c.Destination)
	}
	return nil
}

// Verifier returns a verifier with the trusted keys and the keys of one request. It returns nil if there are no keys.
func (c Bundles) Verifier(keys []string) (transfer.Verifier, error) {
	var trusted signers
	for _, key := range append(append([]string{}, c.TrustedKeys...), keys...) {
		public, err := signature.LoadPublic(key)
		if err != nil {
			return nil, err
		}
		trusted = append(trusted, public)
	}
	if len(trusted) == 0 {
		return nil, nil
	}
	return trusted, nil
}

// signers are the public keys that a bundle can be signed with.
type signers []signature.PublicKey

// Verify implements [transfer.Verifier].
func (s signers) Verify(document, text []byte) (keyID string, err error) {
	keyID, _, err = signature.Verify(s, document, text)
	return keyID, err
}
