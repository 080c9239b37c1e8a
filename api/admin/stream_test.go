package admin_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"airmirror/api/admin"
	"airmirror/mirror"
)

// withStream returns options with one stream.
func withStream(stream admin.Stream) admin.Options {
	return admin.Options{Streams: map[string]admin.Stream{"work": stream}}
}

// TestStreamArrivesUnchanged returns the body as the stream, with each way of writing to out.
func TestStreamArrivesUnchanged(t *testing.T) {
	sent := make([]byte, 3<<20+7)
	rand.Read(sent)
	for name, stream := range map[string]admin.Stream{
		"copied": func(_ context.Context, _ json.RawMessage, body io.Reader, out io.Writer) error {
			_, err := io.Copy(out, body)
			return err
		},
		"written": func(_ context.Context, _ json.RawMessage, body io.Reader, out io.Writer) error {
			all, err := io.ReadAll(body)
			for len(all) > 0 && err == nil {
				n := min(len(all), 1+len(all)/3)
				_, err = out.Write(all[:n])
				all = all[n:]
			}
			return err
		},
	} {
		eachTransport(t, withStream(stream), func(t *testing.T, m testMirror) {
			for _, n := range []int{0, 1, 256<<10 - 1, 256 << 10, 256<<10 + 1, len(sent)} {
				var got bytes.Buffer
				written, err := m.Stream(t.Context(), "work", nil, bytes.NewReader(sent[:n]), &got)
				if err != nil || written != int64(n) || !bytes.Equal(got.Bytes(), sent[:n]) {
					t.Errorf("%s, %d bytes: received %d, returned %d, %v", name, n, got.Len(), written, err)
				}
			}
		})
	}
}

func TestStreamReturnsItsError(t *testing.T) {
	stream := func(_ context.Context, request json.RawMessage, _ io.Reader, out io.Writer) error {
		var n int64
		must(t, json.Unmarshal(request, &n))
		if _, err := io.CopyN(out, endless{}, n); err != nil {
			return err
		}
		return &mirror.Error{Code: mirror.CodeBlobUnknown, Message: "blob x is missing", Detail: "x"}
	}
	eachTransport(t, withStream(stream), func(t *testing.T, m testMirror) {
		for _, n := range []int{0, 1, 1 << 20} {
			_, err := m.Stream(t.Context(), "work", n, nil, io.Discard)
			refused := (*mirror.Error)(nil)
			if !errors.As(err, &refused) || refused.Code != mirror.CodeBlobUnknown || refused.Message != "blob x is missing" || refused.Detail != "x" {
				t.Errorf("after %d bytes: %v", n, err)
			}
		}
		full := errors.New("no space left")
		if _, err := m.Stream(t.Context(), "work", 1<<30, nil, failingWriter{full}); err != full { //nolint:errorlint // it is not wrapped
			t.Errorf("to a writer that fails: %v", err)
		}
	})
}

type failingWriter struct{ err error }

func (r failingWriter) Write([]byte) (int, error) { return 0, r.err }

func TestStreamEndsWithItsClient(t *testing.T) {
	ended := make(chan error, 1)
	stream := func(ctx context.Context, _ json.RawMessage, _ io.Reader, out io.Writer) error {
		_, err := io.Copy(out, endless{})
		<-ctx.Done()
		ended <- err
		return err
	}
	eachTransport(t, withStream(stream), func(t *testing.T, m testMirror) {
		for name, body := range bodies(t) {
			ctx, interrupt := context.WithCancel(t.Context())
			if _, err := m.Stream(ctx, "work", nil, body(), writerFunc(interrupt)); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", name, err)
			}
			if err := <-ended; err == nil {
				t.Errorf("%s: writing succeeds after the client has disconnected", name)
			}
		}
	})
}

type writerFunc func()

func (f writerFunc) Write(p []byte) (int, error) { f(); return len(p), nil }

// TestIncompleteStreamIsAnError ends streams too early, or too late.
func TestIncompleteStreamIsAnError(t *testing.T) {
	for name, answer := range map[string]string{
		"before the first frame": "",
		"within a header":        "\x00\x00",
		"within a frame":         "\x00\x00\x00\x05part",
		"between two frames":     "\x00\x00\x00\x04part",
		"after its end":          "\x00\x00\x00\x04part\x00\x00\x00\x00more",
	} {
		for _, broken := range []bool{false, true} {
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, answer)
				if broken {
					http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
			})
			for way, transport := range map[string]func(testing.TB, http.Handler) http.RoundTripper{"socket": bySocket, "in process": inProcess} {
				t.Run(name+" over "+way, func(t *testing.T) {
					var got strings.Builder
					n, err := admin.NewClient(transport(t, handler)).Stream(t.Context(), "work", nil, nil, &got)
					if err == nil || int(n) != got.Len() || !strings.HasPrefix("part", got.String()) {
						t.Errorf("%q, %d bytes: %v", &got, n, err)
					}
				})
			}
		}
	}
}

// BenchmarkStreams measures the throughput of bodies and streams.
func BenchmarkStreams(b *testing.B) {
	const size = 256 << 20
	opts := withJob(func(_ context.Context, _ json.RawMessage, body io.Reader, _ admin.Report) error {
		_, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, body, make([]byte, 256<<10))
		return err
	})
	opts.Streams = withStream(func(_ context.Context, _ json.RawMessage, _ io.Reader, out io.Writer) error {
		_, err := io.CopyN(out, endless{}, size)
		return err
	}).Streams
	for way, transport := range map[string]func(testing.TB, http.Handler) http.RoundTripper{"socket": bySocket, "in process": inProcess} {
		m, _ := open(b)
		client := admin.NewClient(transport(b, admin.Local(admin.New(m, opts))))
		b.Run(way+"/in", func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				must(b, client.Job(b.Context(), "work", nil, io.LimitReader(endless{}, size), ignore))
			}
		})
		b.Run(way+"/out", func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				_, err := client.Stream(b.Context(), "work", nil, nil, io.Discard)
				must(b, err)
			}
		})
	}
}
