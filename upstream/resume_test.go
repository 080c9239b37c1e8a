package upstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/upstream"
)

// large is the blob that breaks off.
var (
	large    = bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
	largeSHA = digest.FromBytes(large)
)

const etag = `"1"`

// piece serves large from the requested byte on, and breaks the connection before byte end.
func piece(end int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		from := 0
		w.Header().Set("ETag", etag)
		if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(large)-1, len(large)))
			w.Header().Set("Content-Length", fmt.Sprint(len(large)-from))
			w.WriteHeader(http.StatusPartialContent)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
		}
		send(w, large[from:end], end < len(large))
	}
}

// restart serves b from the start, whatever the range, and breaks the connection before byte end.
func restart(b []byte, end int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(b)))
		send(w, b[:end], end < len(b))
	}
}

// endless serves b without a length, and breaks the connection at its end if broken.
func endless(b []byte, broken bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { send(w, b, broken) }
}

func send(w http.ResponseWriter, b []byte, broken bool) {
	_, _ = w.Write(b)
	_ = http.NewResponseController(w).Flush()
	if broken {
		panic(http.ErrAbortHandler)
	}
}

// pass waits for d, unless the client leaves.
func pass(r *http.Request, d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
}

// part sends a 206 with this Content-Range.
func part(contentRange string, b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", contentRange)
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(b)
	}
}

// readLarge reads the large blob.
func readLarge(t *testing.T, c *upstream.Client) ([]byte, error) {
	t.Helper()
	body, _, err := c.Blob(t.Context(), app, largeSHA)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	return io.ReadAll(body)
}

func wantLarge(t *testing.T, c *upstream.Client) {
	t.Helper()
	if got, err := readLarge(t, c); err != nil || !bytes.Equal(got, large) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}

// TestResume checks that an interrupted transfer continues at the byte where it stopped, whatever the upstream answers
// meanwhile.
func TestResume(t *testing.T) {
	whole, size := piece(len(large)), len(large)
	for name, test := range map[string]struct {
		steps  []http.HandlerFunc
		ranges []string // of the requests
	}{
		"cut three times":     {[]http.HandlerFunc{piece(5000), piece(9000), piece(12000), whole}, []string{"", "bytes=5000-", "bytes=9000-", "bytes=12000-"}},
		"before the first":    {[]http.HandlerFunc{piece(0), whole}, []string{"", ""}},
		"503 then":            {[]http.HandlerFunc{piece(5000), page(503), page(503), page(503), whole}, []string{"", "bytes=5000-", "bytes=5000-", "bytes=5000-", "bytes=5000-"}},
		"429 then":            {[]http.HandlerFunc{piece(5000), status(429, "TOOMANYREQUESTS", ""), whole}, []string{"", "bytes=5000-", "bytes=5000-"}},
		"a web page then":     {[]http.HandlerFunc{piece(5000), page(200), page(200), whole}, []string{"", "bytes=5000-", "bytes=5000-", "bytes=5000-"}},
		"ranges are ignored":  {[]http.HandlerFunc{restart(large, 5000), restart(large, 3000), restart(large, size)}, []string{"", "bytes=5000-", "bytes=5000-"}},
		"wrong first byte":    {[]http.HandlerFunc{piece(5000), part("bytes 4999-16383/16384", large[4999:]), whole}, []string{"", "bytes=5000-", ""}},
		"wrong total":         {[]http.HandlerFunc{piece(5000), part("bytes 5000-16384/16385", append(bytes.Clone(large[5000:]), 0)), whole}, []string{"", "bytes=5000-", ""}},
		"no Content-Range":    {[]http.HandlerFunc{piece(5000), part("", large[5000:]), whole}, []string{"", "bytes=5000-", ""}},
		"total not told":      {[]http.HandlerFunc{piece(5000), part("bytes 5000-16383/*", large[5000:])}, []string{"", "bytes=5000-"}},
		"a shorter part":      {[]http.HandlerFunc{piece(5000), part("bytes 5000-5999/16384", large[5000:6000]), whole}, []string{"", "bytes=5000-", "bytes=6000-"}},
		"416":                 {[]http.HandlerFunc{piece(5000), page(416), whole}, []string{"", "bytes=5000-", ""}},
		"of no length":        {[]http.HandlerFunc{endless(large[:5000], true), whole}, []string{"", "bytes=5000-"}},
		"of no length, again": {[]http.HandlerFunc{endless(large[:5000], true), endless(large, false)}, []string{"", "bytes=5000-"}},
		"of no length, at the end": {[]http.HandlerFunc{endless(large, true), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes */16384")
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}}, []string{"", "bytes=16384-"}},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(test.steps...)
				n.serve("registry.test", s)
				wantLarge(t, n.client(upstream.Options{}))
				ranges := slices.Compact(s.headers("Range"))
				if want := slices.Compact(slices.Clone(test.ranges)); !slices.Equal(ranges, want) {
					t.Errorf("ranges are %q, want %q", ranges, want)
				}
			})
		})
	}
}

// TestResumeEnds checks that a transfer which cannot be resumed ends with an error and without wrong bytes.
func TestResumeEnds(t *testing.T) {
	other := bytes.Clone(large)
	other[17] ^= 1
	for name, test := range map[string]struct {
		then http.HandlerFunc
		code mirror.Code
		says string
	}{
		"404":           {status(404, "BLOB_UNKNOWN", "gone"), mirror.CodeBlobUnknown, "gone"},
		"403":           {status(403, "DENIED", "no longer yours"), mirror.CodeBlobUnknown, "no longer yours"},
		"other bytes":   {restart(other, len(other)), mirror.CodeUnavailable, "the bytes differ from those before"},
		"another size":  {restart(large[:9000], 9000), mirror.CodeUnavailable, "a blob of 9000 bytes"},
		"more of it":    {part("bytes 5000-20000/*", append(bytes.Clone(large[5000:]), "more"...)), mirror.CodeUnavailable, "more than 16384 bytes"},
		"nothing new":   {restart(large, 5000), mirror.CodeUnavailable, "sent no more of"},
		"ever the same": {page(500), mirror.CodeUnavailable, "sent no more of"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				n.serve("registry.test", play(piece(5000), test.then))
				var got []byte
				var err error
				d := took(func() { got, err = readLarge(t, n.client(upstream.Options{})) })
				wantError(t, err, test.code, "registry.test", test.says)
				if !bytes.HasPrefix(large, got) || len(got) < 5000 {
					t.Errorf("read %d bytes that are not the blob's", len(got))
				}
				if d > 6*time.Minute {
					t.Errorf("duration is %v", d)
				}
			})
		})
	}
}

// TestResumeLate checks that a transfer is resumed after its reader was busy for longer than RetryFor.
func TestResumeLate(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(piece(8000), piece(len(large))))
		body, _, err := n.client(upstream.Options{RetryFor: time.Minute}).Blob(t.Context(), app, largeSHA)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		start := make([]byte, 1000)
		_, _ = io.ReadFull(body, start)
		<-time.After(time.Hour)
		rest, err := io.ReadAll(body)
		if got := append(start, rest...); err != nil || !bytes.Equal(got, large) {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
	})
}

// TestResumeIfRange checks that the validator is only sent to the endpoint that it is from.
func TestResumeIfRange(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		first, second := play(piece(5000), page(500)), play(piece(7000), piece(len(large)))
		n.serve("first.test", first)
		n.serve("second.test", second)
		wantLarge(t, n.configured(upstream.Options{}, at("http://first.test", "http://second.test")))
		if got := first.headers("If-Range"); got[0] != "" || got[1] != etag {
			t.Errorf("the first endpoint got %q", got)
		}
		if got := strings.Join(second.headers("If-Range"), ""); got != "" {
			t.Errorf("the second endpoint got %q", got)
		}
	})
}

// TestResumeRedirect checks that a new signed link is requested, since links expire.
func TestResumeRedirect(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		links := 0
		n.serve("registry.test", open(func(w http.ResponseWriter, r *http.Request) {
			links++
			http.Redirect(w, r, fmt.Sprintf("http://cdn.test/blob?signature=%d", links), http.StatusTemporaryRedirect)
		}))
		used := map[string]bool{}
		cdn := play(piece(5000), page(403), piece(9000), piece(len(large)))
		n.serve("cdn.test", noAuthorization(t, func(w http.ResponseWriter, r *http.Request) {
			if used[r.URL.RawQuery] {
				t.Errorf("%s was used twice", r.URL)
			}
			used[r.URL.RawQuery] = true
			cdn.ServeHTTP(w, r)
		}))
		wantLarge(t, n.client(upstream.Options{}))
		if want := []string{"", "bytes=5000-", "bytes=5000-", "bytes=9000-"}; !slices.Equal(slices.Compact(cdn.headers("Range")), slices.Compact(want)) {
			t.Errorf("ranges are %q", cdn.headers("Range"))
		}
	})
}

// TestResumeToken checks that a token which expired during a transfer is replaced.
func TestResumeToken(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(piece(5000), piece(len(large)))
		k := &tokens{t: t}
		k.content = func(w http.ResponseWriter, r *http.Request) {
			k.expire()
			s.ServeHTTP(w, r)
		}
		n.serve("registry.test", k)
		n.serve("auth.test", http.HandlerFunc(k.serveToken))
		wantLarge(t, n.client(upstream.Options{Keychain: keychain{"registry.test": "me:secret"}}))
		if len(k.asked) != 2 {
			t.Errorf("requested %d tokens, want 2", len(k.asked))
		}
	})
}

// TestStall checks that a transfer without progress is interrupted and resumed, and that one without a reader is not.
func TestStall(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			send(w, large[:5000], false)
			<-r.Context().Done()
		}, piece(len(large)))
		n.serve("registry.test", s)
		c := n.client(upstream.Options{StallTimeout: 20 * time.Second})
		if d := took(func() { wantLarge(t, c) }); d < 20*time.Second || d > 22*time.Second {
			t.Errorf("duration is %v", d)
		}
		if got := s.headers("Range"); len(got) != 2 || got[1] != "bytes=5000-" {
			t.Errorf("ranges are %q", got)
		}
	})
}

// TestSlowLoris checks that an upstream which sends single bytes does not block a reader for ever.
func TestSlowLoris(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			for i := 0; r.Context().Err() == nil && i < len(large); i++ {
				send(w, large[i:i+1], false)
				pass(r, 5*time.Second)
			}
		}))
		d := took(func() {
			_, err := readLarge(t, n.client(upstream.Options{}))
			wantError(t, err, mirror.CodeUnavailable, "sent no more of", "stalled: fewer than 1024 bytes within 30s")
		})
		if d > 10*time.Minute {
			t.Errorf("duration is %v", d)
		}
	})
}

// TestSlowLink checks that a slow transfer is not interrupted.
func TestSlowLink(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		s := play(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			send(w, nil, false)
			for part := range slices.Chunk(large, 1<<10) {
				pass(r, 25*time.Second)
				send(w, part, false)
			}
		})
		n.serve("registry.test", s)
		wantLarge(t, n.client(upstream.Options{}))
		if got := len(s.lines()); got != 1 {
			t.Errorf("%d requests", got)
		}
	})
}

// TestResumeIsCanceled checks that the pause between two attempts ends with the context of the caller.
func TestResumeIsCanceled(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(piece(5000), page(500)))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		body, _, err := n.client(upstream.Options{}).Blob(ctx, app, largeSHA)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		d := took(func() { _, err = io.ReadAll(body) })
		if !errors.Is(err, context.Canceled) || d != time.Minute {
			t.Errorf("after %v: %v", d, err)
		}
	})
}
