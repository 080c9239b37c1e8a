package upstream

import (
	"fmt"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"

	"airmirror/mirror"
)

// keychain returns the keychain that has c, or otherwise if there is nothing in c.
func (c Credentials) keychain(otherwise authn.Keychain) authn.Keychain {
	if c == (Credentials{}) {
		return otherwise
	}
	return staticKeychain{c}
}

// configured is a keychain with the credentials of one endpoint, which it is asked for at each sign-in.
type staticKeychain struct{ Credentials }

func (c staticKeychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	auth := authn.AuthConfig{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken}
	if c.PasswordFile != "" {
		password, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("reading the password: %w", err)
		}
		auth.Password = strings.TrimRight(string(mirror.Text(password)), "\r\n")
	}
	return authn.FromConfig(auth), nil
}
