package upstream

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"airmirror/mirror"
)

// credentialsFor returns the credentials for the host of u. The endpoint has those that are configured for it; another host
// only has those that the keychain has for that host itself.
func (a *authorizer) credentialsFor(ctx context.Context, u *url.URL) (authn.AuthConfig, error) {
	keychain, host := a.otherHosts, u.Host
	registry, err := name.NewRegistry(host)
	if a.endpoint.owns(u) {
		keychain, host = a.keychain, a.endpoint.URL.Host
		registry, err = a.endpoint.credentialKey()
	}
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("looking up credentials: %w", err)
	}
	key := authn.Resource(registry)
	if path := scopeOf(ctx); path != "" {
		key = registry.Repo(path)
	}
	auth, err := authn.Resolve(ctx, keychain, key)
	if err != nil {
		return authn.AuthConfig{}, &keychainError{host: host, err: err}
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return authn.AuthConfig{}, &keychainError{host: host, err: err}
	}
	return *config, nil
}

// anonymous reports whether c contains no credentials.
func anonymous(c authn.AuthConfig) bool {
	return c.Username == "" && c.Password == "" && c.IdentityToken == "" && c.RegistryToken == "" && c.Auth == ""
}

// basic responds to a Basic challenge with the password, if there is one. If the current authorization has the same
// password, that is wrong.
func (a *authorizer) basic(_ context.Context, asker *url.URL, account authn.AuthConfig, current authorization, _ challenge) (authorization, error) {
	if account.Username == "" && account.Password == "" {
		return authorization{}, nil
	}
	next := authorization{header: basicHeader(account), user: account.Username}
	if next.header == current.header {
		return authorization{}, &statusError{status: http.StatusUnauthorized, signIn: true, denied: true, host: asker.Host, user: account.Username}
	}
	return next, nil
}

func basicHeader(account authn.AuthConfig) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(account.Username+":"+account.Password))
}

// keychain returns the keychain with these credentials, or fallback if there are none.
func (c Credentials) keychain(fallback authn.Keychain) authn.Keychain {
	if c == (Credentials{}) {
		return fallback
	}
	return staticKeychain{c}
}

// staticKeychain has the configured credentials of one endpoint. It reads the password file at each sign-in.
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
