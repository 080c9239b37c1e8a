package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"airmirror/mirror"
)

const (
	maxPages     = 1000
	maxPageSize  = 8 << 20  // bytes
	maxListSize  = 32 << 20 // bytes of all pages of a list
	maxTags      = 200_000
	maxReferrers = 20_000
	maxNames     = 200_000 // repositories of a catalog
)

// firstPage is the query of a first page: as many items as common registries allow.
const firstPage = "n=1000"

// partialError comes with a list that is complete as the upstream sent it, and that the upstream calls incomplete.
type partialError struct{ error }

func (e partialError) Unwrap() error { return e.error }

func isPartial(err error) bool {
	var partial partialError
	return errors.As(err, &partial)
}

// pages fetches a list page by page, following its Link headers, from the endpoint that sent the first page. It calls add
// for each page; add returns the length of the list so far, which may be up to maxItems. If a mirror could not ask its own
// upstream, the error is a [partialError].
func (r *registry) pages(ctx context.Context, t target, maxItems int, add func(page *response, body []byte) (int, error)) error {
	seen, left, partial := map[string]bool{}, maxListSize, false
	for range maxPages {
		page, err := r.do(ctx, http.MethodGet, t)
		if query, ok := smallerPage(t, err); ok {
			t.query = query
			continue
		}
		switch {
		case err != nil && len(seen) > 0: // the error is about a page, and says nothing about the list
			return mirror.Errorf(mirror.CodeUnavailable, "upstream %s interrupted %s after %d pages: %v", t.repo.Host, t, len(seen), err)
		case err != nil:
			return err
		}
		size, length, err := page.readPage(min(left, maxPageSize), add)
		if err != nil {
			return err
		}
		left -= size
		if length > maxItems {
			return t.invalid("a list of more than %d items", maxItems)
		}
		seen[t.query] = true
		partial = partial || page.Header.Get(mirror.MissHeader) == mirror.MissUnavailable
		query, err := page.nextQuery()
		switch {
		case err != nil:
			return err
		case query == "" && partial:
			return partialError{mirror.Errorf(mirror.CodeUnavailable, "upstream %s is fetched from a mirror, which does not have all of %s at present", t.repo.Host, t)}
		case query == "":
			return nil
		}
		if seen[query] {
			return t.invalid("a list whose pages link to one another")
		}
		t.query, t.endpoint = query, page.endpoint
	}
	return t.invalid("a list of more than %d pages", maxPages)
}

// readPage reads and closes a page of up to limit bytes and passes it to add. It returns the number of bytes, and the
// results of add.
func (r *response) readPage(limit int, add func(page *response, body []byte) (int, error)) (size, length int, err error) {
	defer r.close()
	body, err := r.read(limit)
	switch {
	case err != nil:
		return 0, 0, err
	case len(body) > maxPageSize:
		return 0, 0, r.target.invalid("a page of more than %d bytes", maxPageSize)
	case len(body) > limit:
		return 0, 0, r.target.invalid("a list of more than %d bytes", maxListSize)
	}
	length, err = add(r, body)
	return len(body), length, err
}

// nextQuery returns the query of the next page, or "". It uses nothing else of a Link: the next page is part of the same
// list at the same endpoint, whatever a registry behind a proxy believes its own name to be.
func (r *response) nextQuery() (string, error) {
	for _, header := range r.Header.Values("Link") {
		reference, ok := nextReference(header)
		if !ok {
			continue
		}
		u, err := r.Request.URL.Parse(reference)
		if err != nil || u.RawQuery == "" {
			return "", r.target.invalid("an invalid link to the next page")
		}
		return u.RawQuery, nil
	}
	return "", nil
}

// nextReference finds <reference>; rel="next" among the links of a header. A reference may contain commas.
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

// smallerPage returns the query to try after a registry refused a first page for its size.
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

// eachString calls f for each string of a JSON array, or for none if list is empty or null. It does not build a slice: a
// page of empty strings would need many times its own size.
func eachString(list json.RawMessage, f func(string)) error {
	if len(list) == 0 || string(list) == "null" {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(list))
	if start, err := decoder.Token(); err != nil || start != json.Delim('[') {
		return errors.New("not a JSON array")
	}
	var item string
	for decoder.More() {
		if err := decoder.Decode(&item); err != nil {
			return err
		}
		f(item)
	}
	return nil
}
