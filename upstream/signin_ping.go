package upstream

import (
	"fmt"
	"net/http"
)

// maybeHidden reports whether registries use this status to hide content from clients without a sign-in, as Artifactory can.
func maybeHidden(status int) bool {
	return status == http.StatusNotFound || status == http.StatusForbidden
}

// challengeFromPing requests /v2/ to get a challenge, if the response to the original request had none, or if
// credentials may reveal hidden content. It does so once for each repository. Its failures are ignored, because the
// original request has a response.
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
		return authorization{}, false, fmt.Errorf("creating the request: %w", err)
	}
	resp, err := a.next.RoundTrip(ping)
	if err != nil {
		return authorization{}, false, nil
	}
	defer discard(resp)
	if resp.StatusCode != http.StatusUnauthorized {
		return authorization{}, false, nil
	}
	challenges := challengesOf(resp)
	if len(challenges) == 0 {
		return authorization{}, false, nil
	}
	for _, c := range challenges {
		delete(c.params, "scope") // this scope is for /v2/, not for the repository
	}
	next, found, err := a.signIn(r, key, authorization{pinged: true}, challenges)
	if err != nil {
		return authorization{}, false, nil
	}
	return next, found, nil
}
