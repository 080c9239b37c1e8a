package upstream

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// account returns the credentials that belong to the host of u: those of the endpoint at the endpoint's own, and at any
// other only what the keychain has for that host by itself.
func (a *authorizer) credentialsFor(ctx context.Context, u *url.URL) (authn.AuthConfig, error) {
	keychain, host := a.otherHosts, u.Host
	resource, err := name.NewRegistry(host)
	if a.endpoint.owns(u) {
		keychain, host = a.keychain, a.endpoint.URL.Host
		resource, err = a.endpoint.credentialKey()
	}
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("naming the account: %w", err)
	}
	whose := authn.Resource(resource)
	if path := scopeOf(ctx); path != "" {
		whose = resource.Repo(path)
	}
	auth, err := authn.Resolve(ctx, keychain, whose)
	if err != nil {
		return authn.AuthConfig{}, &keychainError{host: host, err: err}
	}
	config, err := authn.Authorization(ctx, auth)
	if err != nil {
		return authn.AuthConfig{}, &keychainError{host: host, err: err}
	}
	return *config, nil
}

// anonymous reports whether there is nothing in c to sign in with.
func anonymous(c authn.AuthConfig) bool {
	return c.Username == "" && c.Password == "" && c.IdentityToken == "" && c.RegistryToken == "" && c.Auth == ""
}

// basic meets a Basic challenge with a password, if there is one. The same password twice is a wrong one.
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

// hidden reports whether registries answer that way to whoever has not signed in, to hide what there is: Artifactory can
// be told to.
func maybeHidden(status int) bool {
	return status == http.StatusNotFound || status == http.StatusForbidden
}

// hint asks /v2/ for a challenge, where the request itself was refused without one, or there are credentials that might
// show what was hidden. It is asked once for each repository, and it need not have one.
func (a *authorizer) challengeFromPing(r *http.Request, key authKey, status int) (authorization, bool, error) {
	account, err := a.credentialsFor(r.Context(), r.URL)
	if err != nil || anonymous(account) && status != http.StatusUnauthorized {
		return authorization{}, false, nil
	}
	a.cache.Add(key, authorization{pinged: true})
	u := *a.endpoint.URL
	u.Path = a.endpoint.api()
	ping, err := http.NewRequestWithContext(r.Context(), http.MethodGet, u.String(), nil)
	if err != nil {
		return authorization{}, false, fmt.Errorf("making the request: %w", err)
	}
	answer, err := a.next.RoundTrip(ping)
	if err != nil {
		return authorization{}, false, nil // the request was answered, and that counts
	}
	defer discard(answer)
	if answer.StatusCode != http.StatusUnauthorized {
		return authorization{}, false, nil
	}
	challenges := challengesOf(answer)
	if len(challenges) == 0 {
		return authorization{}, false, nil
	}
	for _, c := range challenges {
		delete(c.params, "scope") // of something else
	}
	next, found, err := a.signIn(r, key, authorization{pinged: true}, challenges)
	if err != nil { // the same
		return authorization{}, false, nil
	}
	return next, found, nil
}

// discard ends an answer that nobody reads, and keeps its connection if the rest is short.
func discard(resp *http.Response) {
	if resp.ContentLength >= 0 && resp.ContentLength <= maxErrorBody {
		_, _ = io.Copy(io.Discard, resp.Body)
	}
	_ = resp.Body.Close()
}
