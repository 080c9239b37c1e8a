package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// maxToken is how long the answer of a token service may be, in bytes.
const maxToken = 1 << 20

// errNoToken: a token service answered, and gave none.
var errNoToken = errors.New("there is no token in its answer")

// tokenRequest is what a token service is asked for.
type tokenRequest struct {
	realm   *url.URL
	service string
	scopes  []string
	account authn.AuthConfig
}

// bearer meets a Bearer challenge: with a token that was configured, or with one from the service that the challenge
// names. The service gets the credentials of the host that names it, wherever it is: that is what it is for.
//
// https://distribution.github.io/distribution/spec/auth/token/
func (a *authorizer) bearer(ctx context.Context, asker *url.URL, account authn.AuthConfig, current authorization, c challenge) (authorization, error) {
	if account.RegistryToken != "" {
		return a.registryToken(asker, account, current)
	}
	realm, err := parseRealm(asker, c)
	if err != nil {
		return authorization{}, err
	}
	own := "repository:" + scopeOf(ctx) + ":pull"
	if scopeOf(ctx) == "" { // a catalog is of no repository
		own = "registry:catalog:*"
	}
	scopes := strings.Fields(cmp.Or(c.params["scope"], own))
	if current.scopes == strings.Join(scopes, " ") && !slices.Contains(scopes, own) {
		scopes = append(scopes, own) // the scope that it names did not do
	}
	token, err := a.token(ctx, tokenRequest{realm, c.params["service"], scopes, account})
	if err != nil {
		return authorization{}, err
	}
	return authorization{header: "Bearer " + token, scopes: strings.Join(scopes, " ")}, nil
}

// configured is the grant for a token that is in the keychain as it is.
func (a *authorizer) registryToken(asker *url.URL, account authn.AuthConfig, current authorization) (authorization, error) {
	next := authorization{header: "Bearer " + account.RegistryToken, user: account.Username}
	if next.header == current.header {
		return authorization{}, &statusError{status: http.StatusUnauthorized, signIn: true, denied: true, host: asker.Host}
	}
	return next, nil
}

// parseRealm is the URL of a token service. It is never one of http for an asker of https, and has no password of its own.
func parseRealm(asker *url.URL, c challenge) (*url.URL, error) {
	realm, err := asker.Parse(c.params["realm"])
	switch {
	case c.params["realm"] == "" || err != nil || realm.Host == "":
		return nil, fmt.Errorf("%w to ask for a token: the token service that %s names is no URL", errNotAllowed, asker.Host)
	case realm.Scheme != "https" && (realm.Scheme != "http" || asker.Scheme == "https"):
		return nil, fmt.Errorf("%w to ask for a token by %s, because %s was asked by %s", errNotAllowed, realm.Scheme, asker.Host, asker.Scheme)
	case realm.User != nil:
		return nil, fmt.Errorf("%w to ask for a token: there are credentials in the URL of the token service", errNotAllowed)
	}
	realm.Fragment = ""
	return realm, nil
}

// token asks the service for a token: with GET and a password, or with POST and an identity token. Not every service
// has both, so that the other one is tried where the first is unknown.
func (a *authorizer) token(ctx context.Context, t tokenRequest) (string, error) {
	if t.account.IdentityToken != "" {
		token, err := a.requestToken(ctx, t, http.MethodPost)
		if methodUnsupported(err, http.StatusBadRequest, http.StatusUnauthorized) {
			if other, again := a.requestToken(ctx, t, http.MethodGet); again == nil {
				return other, nil
			}
		}
		return token, err
	}
	token, err := a.requestToken(ctx, t, http.MethodGet)
	if t.account.Password != "" && methodUnsupported(err) {
		if other, again := a.requestToken(ctx, t, http.MethodPost); again == nil {
			return other, nil
		}
	}
	return token, err
}

// methodUnsupported reports whether a token service does not know the method that it was asked with.
func methodUnsupported(err error, others ...int) bool {
	var e *statusError
	return errors.As(err, &e) && (e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed || slices.Contains(others, e.status))
}

// exchange asks once, unless the token service wants a pause, or failed again and again for this repository. Neither says
// anything about what the token is for.
func (a *authorizer) requestToken(ctx context.Context, t tokenRequest, method string) (string, error) {
	ctx = withKind(ctx, tokenKind)
	for _, path := range []string{"", scopeOf(ctx)} {
		if blocked := a.limits.throttle(ctx, tokenKind, method, path).blocked(); blocked != nil {
			blocked.why = "its token service is rate-limited"
			return "", blocked
		}
	}
	b := a.limits.tokenBreaker(ctx)
	pass, err := b.allow(ctx, t.realm.Host+" failed again and again to give a token")
	if err != nil {
		return "", err
	}
	got, err := a.sendTokenRequest(ctx, t, method)
	b.report(pass, tokenOutcome(ctx, err), err)
	return got, err
}

// tokenOutcome tells what came of a request for a token. What the network did is judged by who dials.
func tokenOutcome(ctx context.Context, err error) outcome {
	var status *statusError
	switch cause := context.Cause(ctx); {
	case cause != nil && isTimeout(cause):
		return outcomeFailure
	case cause != nil:
		return outcomeCanceled
	case errors.As(err, &status) && isServerError(status.status):
		return outcomeFailure
	case err == nil, errors.As(err, &status):
		return outcomeSuccess
	}
	return outcomeUnknown
}

// ask sends one request for a token.
func (a *authorizer) sendTokenRequest(ctx context.Context, t tokenRequest, method string) (string, error) {
	r, err := t.request(ctx, method)
	if err != nil {
		return "", fmt.Errorf("making the request for a token: %w", err)
	}
	client := http.Client{Transport: a.next, CheckRedirect: checkTokenRedirect}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxToken))
	if err != nil {
		return "", networkError{error: fmt.Errorf("reading the answer of the token service %s: %w", t.realm.Host, err), url: t.realm}
	}
	if resp.StatusCode/100 != 2 {
		e := &statusError{status: resp.StatusCode, message: errorMessage(body), signIn: true, denied: deniedStatus(resp.StatusCode), host: canonicalAuthority(t.realm)}
		if resp.StatusCode == http.StatusUnauthorized {
			e.user = t.account.Username
		}
		return "", e
	}
	return parseToken(t.realm.Host, body)
}

func parseToken(host string, body []byte) (string, error) {
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return "", fmt.Errorf("the token service %s: %w", host, errNoToken)
	}
	token := cmp.Or(answer.Token, answer.AccessToken)
	if token == "" || strings.ContainsAny(token, " \r\n") {
		return "", fmt.Errorf("the token service %s: %w", host, errNoToken)
	}
	return token, nil
}

// request makes the request for a token.
func (t tokenRequest) request(ctx context.Context, method string) (*http.Request, error) {
	if method == http.MethodPost {
		return t.post(ctx)
	}
	u := *t.realm
	query := u.Query()
	if t.service != "" {
		query.Set("service", t.service)
	}
	for _, scope := range t.scopes {
		query.Add("scope", scope)
	}
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	account := t.account
	if account.Password == "" && account.IdentityToken != "" {
		account.Password = account.IdentityToken
	}
	if account.Username != "" || account.Password != "" {
		r.Header.Set("Authorization", basicHeader(account))
	}
	return r, nil
}

// post makes the request of OAuth 2: https://distribution.github.io/distribution/spec/auth/oauth/
func (t tokenRequest) post(ctx context.Context) (*http.Request, error) {
	form := url.Values{"client_id": {"airmirror"}, "service": {t.service}, "scope": {strings.Join(t.scopes, " ")}}
	if t.account.IdentityToken != "" {
		form.Set("grant_type", "refresh_token")
		form.Set("refresh_token", t.account.IdentityToken)
	} else {
		form.Set("grant_type", "password")
		form.Set("username", t.account.Username)
		form.Set("password", t.account.Password)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.realm.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r, nil
}

// checkTokenRedirect is the policy for requests to a token service: what is in them stays with the host that the
// challenge named.
func checkTokenRedirect(r *http.Request, via []*http.Request) error {
	if sameOrSafer(via[0].URL, r.URL) {
		return checkRedirect(r, via)
	}
	if r.Method == http.MethodPost {
		return fmt.Errorf("%w to follow a redirect to %s with what signs in at %s", errNotAllowed, r.URL.Host, via[0].URL.Host)
	}
	r.Header.Del("Authorization")
	return checkRedirect(r, via)
}
