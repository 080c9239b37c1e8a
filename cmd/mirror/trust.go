package main

import (
	"fmt"

	"airmirror/mirror"
	"airmirror/sync/signature"
	"airmirror/sync/transfer"
)

// bundlesConfig says which bundles are taken in.
type bundlesConfig struct {
	// Trust are public keys, or files of them, in minisign's format. A bundle that is signed must be signed with one of
	// them, if there is one.
	Trust []string `yaml:"trust"`
	// RequireSignature refuses bundles that are not signed with a key that is trusted.
	RequireSignature bool `yaml:"requireSignature"`
	// Destination is what bundles for this mirror are made for with --to; those for another destination are refused.
	Destination string `yaml:"destination"`
}

// checkDestination reports whether the name of the destination is none that --to takes.
func (c bundlesConfig) checkDestination() error {
	if c.Destination != "" && !mirror.ValidTag(c.Destination) {
		return fmt.Errorf("%q is no name of a destination: it is written like a tag", c.Destination)
	}
	return nil
}

// verifier checks signatures with the keys that are trusted always, and those of one request.
func (c bundlesConfig) verifier(keys []string) (transfer.Verifier, error) {
	var trusted signers
	for _, key := range append(append([]string{}, c.Trust...), keys...) {
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

// signers are the keys that may have signed a bundle.
type signers []signature.PublicKey

// Verify implements [transfer.Verifier].
func (s signers) Verify(document, text []byte) (keyID string, err error) {
	keyID, _, err = signature.Verify(s, document, text)
	return keyID, err
}
