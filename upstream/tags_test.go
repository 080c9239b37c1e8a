package upstream_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// serveList serves a page of tags with a Link to the next page, if there is one.
func serveList(link string, tags ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if link != "" {
			w.Header().Set("Link", link)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"name": "org/app", "tags": tags})
	}
}

func TestTags(t *testing.T) {
	list, next := "/v2/org/app/tags/list", `</v2/org/app/tags/list?last=b&n=2>; rel="next"`
	for name, test := range map[string]struct {
		steps []http.HandlerFunc
		want  string
		query string // of the second page
	}{
		"one page":      {[]http.HandlerFunc{serveList("", "b", "a")}, "a b", ""},
		"none":          {[]http.HandlerFunc{serveList("")}, "", ""},
		"null":          {[]http.HandlerFunc{func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tags":null}`) }}, "", ""},
		"two pages":     {[]http.HandlerFunc{serveList(next, "a", "b"), serveList("", "b", "c")}, "a b c", "last=b&n=2"},
		"absolute link": {[]http.HandlerFunc{serveList("<http://registry.test"+list+"?x=%2F>; rel=next", "a"), serveList("", "c")}, "a c", "x=%2F"},
		"query link":    {[]http.HandlerFunc{serveList(`<?next=1>;rel="next"`, "a"), serveList("", "c")}, "a c", "next=1"},
		"other links":   {[]http.HandlerFunc{serveList(`<?a=1>; rel="prev", <?b=2>; title="x"; rel="next"`, "a"), serveList(`<?a=1>; rel="prev"`)}, "a", "b=2"},
		"no link":       {[]http.HandlerFunc{serveList("nonsense>; rel=next", "a")}, "a", ""},
		"not tags":      {[]http.HandlerFunc{serveList("", "ok", "", "a b", "../x", "-x", strings.Repeat("x", 200))}, "ok", ""},
		"none of many":  {[]http.HandlerFunc{serveList("", append(make([]string, 201_000), "ok")...)}, "ok", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(test.steps...)
				n.serve("registry.test", s)
				got, err := n.client(upstream.Options{}).Tags(t.Context(), app)
				if err != nil || strings.Join(got, " ") != test.want {
					t.Errorf("tags are %q, %v", got, err)
				}
				if got := s.requests[0].URL; got.Path != list || got.RawQuery != "n=1000" {
					t.Errorf("requested %s", got)
				}
				if got := s.requests[len(s.requests)-1].URL; test.query != "" && (got.Path != list || got.RawQuery != test.query) {
					t.Errorf("the second page is requested as %s", got)
				}
			})
		})
	}
}

func TestTagsErrors(t *testing.T) {
	many := strings.Repeat(`"v",`, 201_000)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		code   mirror.Code
		says   string
	}{
		"404":            {status(404, "NAME_UNKNOWN", "no such repository"), mirror.CodeNameUnknown, "upstream registry.test does not have the tags of registry.test/org/app"},
		"401":            {status(401, "UNAUTHORIZED", ""), mirror.CodeNameUnknown, "refused"},
		"500":            {status(500, "UNKNOWN", ""), mirror.CodeUnavailable, "500"},
		"a web page":     {page(200), mirror.CodeUnavailable, "web page"},
		"no JSON":        {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "[") }, mirror.CodeUnavailable, "not a list of tags"},
		"other host":     {serveList(`<http://other.test/v2/org/app/tags/list?n=1>; rel="next"`, "a"), mirror.CodeUnavailable, "link to one another"},
		"no query":       {serveList(`</v2/other/tags/list>; rel="next"`, "a"), mirror.CodeUnavailable, "an invalid link to the next page"},
		"round":          {serveList(`<?last=a>; rel="next"`, "a"), mirror.CodeUnavailable, "link to one another"},
		"too many":       {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tags":[`+many+`"v"]}`) }, mirror.CodeUnavailable, "more than 200000 items"},
		"too large":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%9000000d", 1) }, mirror.CodeUnavailable, "more than 8388608 bytes"},
		"too much":       {largePages(), mirror.CodeUnavailable, "more than 33554432 bytes"},
		"no tag list":    {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"tags":"a"}`) }, mirror.CodeUnavailable, "not a list of tags"},
		"without end":    {endlessPages(), mirror.CodeUnavailable, "more than 1000 pages"},
		"truncated":      {restart([]byte(`{"tags":["a"]}`), 5), mirror.CodeUnavailable, "was interrupted"},
		"other, by //":   {serveList(`<//other.test/?n=1>; rel="next"`, "a"), mirror.CodeUnavailable, "link to one another"},
		"other, by name": {serveList("<http://registry.test@other.test/?n=1>; rel=next", "a"), mirror.CodeUnavailable, "link to one another"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", open(test.answer))
				_, err := n.client(upstream.Options{}).Tags(t.Context(), app)
				wantError(t, err, test.code, "registry.test", test.says)
			})
		})
	}
}

func endlessPages() http.HandlerFunc {
	pages := 0
	return func(w http.ResponseWriter, r *http.Request) {
		pages++
		serveList("<?page="+strconv.Itoa(pages)+`>; rel="next"`, "a")(w, r)
	}
}

// largePages serves pages of invalid tags without end.
func largePages() http.HandlerFunc {
	pages, huge := 0, strings.Repeat("-", 7<<20)
	return func(w http.ResponseWriter, r *http.Request) {
		pages++
		serveList("<?page="+strconv.Itoa(pages)+`>; rel="next"`, huge)(w, r)
	}
}

// TestTagsOfOneEndpoint checks that the next page is requested from the endpoint that sent the Link.
func TestTagsOfOneEndpoint(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("first.test", play(page(500), serveList("", "of", "the", "first")))
		n.serve("second.test", play(serveList(`<?page=2>; rel="next"`, "a"), serveList("", "b")))
		got, err := n.configured(upstream.Options{}, at("http://first.test", "http://second.test")).Tags(t.Context(), app)
		if err != nil || !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("tags are %v, %v", got, err)
		}
	})
}

// FuzzHeaders: whatever a registry writes into its headers, its clients get an answer or an error.
func FuzzHeaders(f *testing.F) {
	f.Add(`<?page=2>; rel="next"`, "bytes 5-18/19", "0", "76;w=21600", `"1"`)
	f.Add(`<<>>;;rel=next,,`, "bytes -/*", "-1", ";", `W/"1"`)
	f.Add("<%zz?>;rel=next", "bytes 9223372036854775807-9223372036854775808/1", "99999999999999999999", "-0", "\x00")
	f.Fuzz(func(t *testing.T, link, contentRange, retryAfter, remaining, etag string) {
		inBubble(t, func(t *testing.T, n *memoryNetwork) {
			requests := 0
			n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
				requests++
				h := w.Header()
				h.Set("Link", link)
				h.Set("Content-Range", contentRange)
				h.Set("RateLimit-Remaining", remaining)
				h.Set("ETag", etag)
				switch {
				case strings.Contains(r.URL.Path, "/tags/"):
					fmt.Fprint(w, `{"tags":["a"]}`)
				case strings.Contains(r.URL.Path, "/manifests/"):
					h.Set("Retry-After", retryAfter)
					w.WriteHeader(http.StatusTooManyRequests)
				case requests == 1:
					restart(blob, 5)(w, r)
				default:
					w.WriteHeader(http.StatusPartialContent)
					send(w, blob[5:], false)
				}
			}))
			client := n.client(upstream.Options{RetryFor: time.Second, Timeout: time.Second})
			if body, _, err := client.Blob(t.Context(), app, blobSHA); err == nil {
				_, _ = io.Copy(io.Discard, body)
				body.Close()
			}
			_, _ = client.Tags(t.Context(), app)
			_, _ = client.Resolve(t.Context(), appTag)
		})
	})
}
