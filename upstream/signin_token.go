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

// maxTokenBody is the number of bytes that are read of the response of a token service.
const maxTokenBody = 1 << 20

var errNoToken = errors.New("its response contains no token")

// tokenRequest describes a request to a token service.
type tokenRequest struct {
	realm   *url.URL
	service string
	scopes  []string
	account authn.AuthConfig
}

// bearer responds to a Bearer challenge with the configured token, or with a token from the service that the challenge
// names. That service, on whatever host, gets the credentials of the host that names it: this is its purpose.
//
// https://distribution.github.io/distribution/spec/auth/token/
func (a *authorizer) bearer(ctx context.Context, asker *url.URL, account authn.AuthConfig, current authorization, c challenge) (authorization, error) {
	if account.RegistryToken != "" {
		return registryToken(asker, account, current)
	}
	realm, err := parseRealm(asker, c)
	if err != nil {
		return authorization{}, err
	}
	own := "repository:" + scopeOf(ctx) + ":pull"
	if scopeOf(ctx) == "" { // the catalog belongs to no repository
		own = "registry:catalog:*"
	}
	scopes := strings.Fields(cmp.Or(c.params["scope"], own))
	if current.scopes == strings.Join(scopes, " ") && !slices.Contains(scopes, own) {
		scopes = append(scopes, own) // the scope of the challenge did not suffice
	}
	token, err := a.token(ctx, tokenRequest{realm, c.params["service"], scopes, account})
	if err != nil {
		return authorization{}, err
	}
	return authorization{header: "Bearer " + token, scopes: strings.Join(scopes, " ")}, nil
}

// registryToken returns the authorization with the token that the keychain contains.
func registryToken(asker *url.URL, account authn.AuthConfig, current authorization) (authorization, error) {
	next := authorization{header: "Bearer " + account.RegistryToken, user: account.Username}
	if next.header == current.header {
		return authorization{}, &statusError{status: http.StatusUnauthorized, signIn: true, denied: true, host: asker.Host}
	}
	return next, nil
}

// parseRealm returns the URL of the token service that a challenge of asker names. It refuses http if asker uses https, and
// credentials in the URL. Its errors do not quote the realm, which may contain a secret.
func parseRealm(asker *url.URL, c challenge) (*url.URL, error) {
	realm, err := asker.Parse(c.params["realm"])
	switch {
	case c.params["realm"] == "" || err != nil || realm.Host == "":
		return nil, fmt.Errorf("%w to request a token: the realm of %s is not a URL", errRefused, asker.Host)
	case realm.Scheme != "https" && (realm.Scheme != "http" || asker.Scheme == "https"):
		return nil, fmt.Errorf("%w to request a token over %s: %s uses %s", errRefused, realm.Scheme, asker.Host, asker.Scheme)
	case realm.User != nil:
		return nil, fmt.Errorf("%w to request a token: the URL of the token service contains credentials", errRefused)
	}
	realm.Fragment = ""
	return realm, nil
}

// token requests a token: with GET and a password, or with POST and an identity token. Not every service supports both
// methods, so it tries the other one where the first is not supported.
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

// methodUnsupported reports whether a token service does not support the method of the request.
func methodUnsupported(err error, others ...int) bool {
	var e *statusError
	return errors.As(err, &e) && (e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed || slices.Contains(others, e.status))
}

// requestToken sends one request, unless the rate limit or the circuit breaker of token requests forbids it. Neither says
// anything about the content.
func (a *authorizer) requestToken(ctx context.Context, t tokenRequest, method string) (string, error) {
	ctx = withKind(ctx, tokenKind)
	for _, path := range []string{"", scopeOf(ctx)} {
		if blocked := a.limits.throttle(ctx, tokenKind, method, path).blocked(); blocked != nil {
			blocked.why = "the rate limit of its token service is reached"
			return "", blocked
		}
	}
	b := a.limits.tokenBreaker(ctx)
	pass, err := b.allow(ctx, "token requests to "+t.realm.Host+" failed repeatedly")
	if err != nil {
		return "", err
	}
	got, err := a.sendTokenRequest(ctx, t, method)
	b.report(pass, tokenOutcome(ctx, err), err)
	return got, err
}

// tokenOutcome returns the outcome of a token request. Network errors count against the host, see guardOtherHosts.
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

// sendTokenRequest sends the request and reads the token from the response.
func (a *authorizer) sendTokenRequest(ctx context.Context, t tokenRequest, method string) (string, error) {
	r, err := t.request(ctx, method)
	if err != nil {
		return "", fmt.Errorf("creating the token request: %w", err)
	}
	client := http.Client{Transport: a.next, CheckRedirect: checkTokenRedirect}
	resp, err := sendWithoutURL(&client, r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenBody))
	if err != nil {
		return "", networkError{error: fmt.Errorf("reading the response of the token service %s: %w", t.realm.Host, err), url: t.realm}
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

// request returns the HTTP request for a token.
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

// post returns the request of OAuth 2: https://distribution.github.io/distribution/spec/auth/oauth/
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
