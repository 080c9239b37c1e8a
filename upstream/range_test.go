package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"airmirror/mirror"
	"airmirror/upstream"
)

// sendPart sends a 206 with these bytes and Content-Range.
func sendPart(contentRange, body string, headers ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", contentRange)
		for i := 0; i < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(http.StatusPartialContent)
		_, _ = io.WriteString(w, body)
	}
}

func TestBlobPart(t *testing.T) {
	for name, tt := range map[string]struct {
		answer http.HandlerFunc
		size   int64
		says   string // part of the error
	}{
		"the part":               {sendPart("bytes 10-14/100", "abcde"), 100, ""},
		"no size":                {sendPart("bytes 10-14/*", "abcde"), -1, ""},
		"in chunks":              {sendPart("bytes 10-14/100", "abcde", "Transfer-Encoding", "chunked"), 100, ""},
		"more than that":         {sendPart("bytes 10-14/100", "abcdefgh", "Transfer-Encoding", "chunked"), 100, ""},
		"the whole":              {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "0123456789abcde") }, 0, "200 OK instead of the requested range"},
		"another part":           {sendPart("bytes 0-4/100", "abcde"), 0, `its Content-Range is "bytes 0-4/100"`},
		"a longer part":          {sendPart("bytes 10-15/100", "abcdef"), 0, "a range that was not requested"},
		"a prefix of the number": {sendPart("bytes 10-144/1000", "abcde"), 0, "a range that was not requested"},
		"another length":         {sendPart("bytes 10-14/100", "abcdef"), 0, "a range that was not requested"},
		"nonsense for a size":    {sendPart("bytes 10-14/x", "abcde"), 0, "a range that was not requested"},
		"no Content-Range":       {sendPart("", "abcde"), 0, "a range that was not requested"},
		"encoded":                {sendPart("bytes 10-14/100", "abcde", "Content-Encoding", "gzip"), 0, "a range that was not requested"},
		"beyond the end":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestedRangeNotSatisfiable) }, 0, "416 Requested Range Not Satisfiable instead of the requested range"},
		"unknown":                {status(404, "BLOB_UNKNOWN", ""), 0, "does not have"},
		"broken":                 {page(500), 0, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(tt.answer)
				n.serve("registry.test", s)
				body, size, err := n.client(upstream.Options{}).BlobPart(t.Context(), app, blobSHA, 10, 5)
				if tt.says != "" {
					wantError(t, err, mirror.CodeOf(err), tt.says)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				defer body.Close()
				if got, err := io.ReadAll(body); string(got) != "abcde" || err != nil || size != tt.size {
					t.Errorf("%q of %d, %v", got, size, err)
				}
				if got := s.headers("Range"); fmt.Sprint(got) != "[bytes=10-14]" {
					t.Errorf("ranges were %v", got)
				}
			})
		})
	}
}

// TestInterruptedBlobPart checks that a part is not resumed and never ends early without an error.
func TestInterruptedBlobPart(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"short": sendPart("bytes 10-14/100", "abc", "Transfer-Encoding", "chunked"),
		"cut":   sendPart("bytes 10-14/100", "abc", "Content-Length", "5"),
		"stalls": func(w http.ResponseWriter, r *http.Request) {
			sendPart("bytes 10-14/100", "abc", "Content-Length", "5")(w, r)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *memoryNetwork) {
				s := play(answer)
				n.serve("registry.test", s)
				body, _, err := n.client(upstream.Options{}).BlobPart(t.Context(), app, blobSHA, 10, 5)
				if err != nil {
					t.Fatal(err)
				}
				defer body.Close()
				if got, err := io.ReadAll(body); string(got) != "abc" || mirror.CodeOf(err) != mirror.CodeUnavailable {
					t.Errorf("%q, %v", got, err)
				}
				if len(s.lines()) != 1 {
					t.Errorf("requests were %v", s.lines())
				}
			})
		})
	}
}

// TestBlobPartIsATransfer checks that a part waits for a slot.
func TestBlobPartIsATransfer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *memoryNetwork) {
		n.serve("registry.test", play(sendPart("bytes 10-14/100", "abcde")))
		config := at("http://registry.test")
		config.Parallel = 1
		c := n.configured(upstream.Options{}, config)
		first, _, err := c.BlobPart(t.Context(), app, blobSHA, 10, 5)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() {
			_ = first.Close()
			_ = first.Close() // gives one place only
		})
		for range 2 {
			body, _, err := c.BlobPart(t.Context(), app, blobSHA, 10, 5)
			if err != nil {
				t.Fatal(err)
			}
			_ = body.Close()
		}
	})
}
