package upstream

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"airmirror/mirror"
)

const (
	maxPages     = 1000
	maxPageSize  = 8 << 20  // bytes
	maxListSize  = 32 << 20 // bytes of all pages of a list, whatever of them is kept
	maxTags      = 200_000
	maxReferrers = 20_000
)

// partialError: a list came to its end, and its upstream says that it lacks something.
type partialError struct{ error }

func (e partialError) Unwrap() error { return e.error }

func isPartial(err error) bool {
	var partial partialError
	return errors.As(err, &partial)
}

// pages fetches a list page by page, as far as its Link headers lead, from the endpoint that has the first page. take
// gets each page and reports how long the list is by now; it may be longest at most. A mirror that could not ask its own
// upstream has a list that is a [partialError].
func (r *registry) pages(ctx context.Context, t target, longest int, take func(a *response, body []byte) (int, error)) error {
	seen, left, partial := map[string]bool{}, maxListSize, false
	for range maxPages {
		a, err := r.do(ctx, http.MethodGet, t)
		if query, ok := smallerPage(t, err); ok {
			t.query = query
			continue
		}
		switch {
		case err != nil && len(seen) > 0: // whatever it says is about a page, and not about the list
			return mirror.Errorf(mirror.CodeUnavailable, "upstream %s broke off %s after %d pages: %v", t.repo.Host, t, len(seen), err)
		case err != nil:
			return err
		}
		size, length, err := a.readPage(min(left, maxPageSize), take)
		if err != nil {
			return err
		}
		left -= size
		if length > longest {
			return t.invalid("a list of more than %d items", longest)
		}
		seen[t.query] = true
		partial = partial || a.Header.Get(mirror.MissHeader) == mirror.MissUnavailable
		query, err := a.nextQuery()
		switch {
		case err != nil:
			return err
		case query == "" && partial:
			return partialError{mirror.Errorf(mirror.CodeUnavailable, "upstream %s is a mirror that cannot have all of %s now", t.repo.Host, t)}
		case query == "":
			return nil
		}
		if seen[query] {
			return t.invalid("a list whose pages lead back to one another")
		}
		t.query, t.endpoint = query, a.endpoint
	}
	return t.invalid("a list of more than %d pages", maxPages)
}

// take reads the answer, which may have most bytes, gives it to f, and closes it. It returns how many there were, and
// what f did.
func (a *response) readPage(most int, f func(a *response, body []byte) (int, error)) (size, length int, err error) {
	defer a.close()
	body, err := a.read(most)
	switch {
	case err != nil:
		return 0, 0, err
	case len(body) > maxPageSize:
		return 0, 0, a.target.invalid("a page of more than %d bytes", maxPageSize)
	case len(body) > most:
		return 0, 0, a.target.invalid("a list of more than %d bytes", maxListSize)
	}
	length, err = f(a, body)
	return len(body), length, err
}

// next returns the query of the page after this one, or "". Nothing else is taken of a Link: the page is of the same list
// at the same endpoint, whatever a registry behind a proxy takes for its own name.
func (a *response) nextQuery() (string, error) {
	for _, header := range a.Header.Values("Link") {
		reference, ok := nextReference(header)
		if !ok {
			continue
		}
		u, err := a.Request.URL.Parse(reference)
		if err != nil || u.RawQuery == "" {
			return "", a.target.invalid("a link to a next page that leads nowhere")
		}
		return u.RawQuery, nil
	}
	return "", nil
}

// nextReference finds <reference>; rel="next" among the links of a header. A reference may have commas in it.
func nextReference(header string) (string, bool) {
	for {
		_, rest, ok := strings.Cut(header, "<")
		reference, rest, closed := strings.Cut(rest, ">")
		if !ok || !closed {
			return "", false
		}
		params, _, _ := strings.Cut(rest, "<")
		header = strings.TrimPrefix(rest, params)
		for param := range strings.FieldsFuncSeq(params, func(r rune) bool { return r == ';' || r == ',' }) {
			key, value, _ := strings.Cut(strings.TrimSpace(param), "=")
			if strings.EqualFold(key, "rel") && strings.EqualFold(strings.Trim(value, `"`), "next") {
				return reference, true
			}
		}
	}
}

// smaller is what to ask for instead of a first page that was refused for its size, as by registries that have a limit.
func smallerPage(t target, err error) (query string, ok bool) {
	var e *statusError
	if !errors.As(err, &e) || e.status != http.StatusBadRequest && e.status != http.StatusUnprocessableEntity {
		return "", false
	}
	switch t.query {
	case firstPage:
		return "n=100", true
	case "n=100":
		return "", true
	}
	return "", false
}
