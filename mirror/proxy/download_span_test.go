package proxy_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

const mib = 1 << 20

// distant is a blob of 8 MiB whose arrival the test controls, with a client that reads spans of it.
type distant struct {
	*place
	content string
	digest  digest.Digest
	body    *io.PipeWriter
	client  context.Context // of the reader
	leave   context.CancelFunc
}

func startDistant(t *testing.T) *distant {
	p := &distant{place: start(t, proxy.Options{})}
	var b strings.Builder
	for i := range mib {
		b.WriteString(string([]byte{byte(i), byte(i >> 8), byte(i >> 16), 3, 5, 7, 11, 13}))
	}
	p.content = b.String()
	p.digest = digest.FromString(p.content)
	p.client, p.leave = context.WithCancel(t.Context())
	t.Cleanup(p.leave)
	p.get(byTag("v1"), p.origin.image(app, []string{p.content}, "v1").Digest)
	body, send := io.Pipe()
	p.body = send
	p.origin.sends(func(ctx context.Context, content string) (io.ReadCloser, int64) {
		context.AfterFunc(ctx, func() { _ = send.CloseWithError(ctx.Err()) })
		return body, int64(len(content))
	})
	return p
}

// open opens the blob for a client that requests spans.
func (p *distant) open(spans ...mirror.Span) mirror.Blob {
	p.t.Helper()
	blob, err := p.Blob(p.client, app, p.digest)
	p.must(err)
	p.t.Cleanup(func() { _ = blob.Close() })
	blob.ReadSeekCloser.(interface{ Expect([]mirror.Span) }).Expect(spans)
	return blob
}

// reading is the read of a span.
type reading struct {
	got  string
	err  error
	done bool
}

func (p *distant) read(blob mirror.Blob, s mirror.Span) *reading {
	p.t.Helper()
	_, err := blob.Seek(s.Off, io.SeekStart)
	p.must(err)
	r := &reading{}
	go func() {
		var to strings.Builder
		_, r.err = io.CopyN(&to, blob, s.Len)
		r.got, r.done = to.String(), true
	}()
	synctest.Wait()
	return r
}

func (p *distant) arrive(from, to int) {
	p.t.Helper()
	_, err := io.WriteString(p.body, p.content[from:to])
	p.must(err)
	synctest.Wait()
}

// wants fails the test unless the span was read correctly.
func (p *distant) wants(r *reading, s mirror.Span) {
	p.t.Helper()
	synctest.Wait()
	if !r.done || r.err != nil || r.got != p.content[s.Off:s.Off+s.Len] {
		p.t.Errorf("%v: done %t, %d bytes, %v", s, r.done, len(r.got), r.err)
	}
}

// waits fails the test if the span was read: it must wait for the download.
func (p *distant) waits(r *reading) {
	p.t.Helper()
	if r.done {
		p.t.Errorf("it was read: %d bytes, %v", len(r.got), r.err)
	}
}

// ends lets the rest of the blob arrive, and checks what is stored.
func (p *distant) ends(from int) {
	p.t.Helper()
	p.arrive(from, len(p.content))
	p.must(p.body.Close())
	synctest.Wait()
	if got, err := p.place.read(app, p.digest); err != nil || got != p.content {
		p.t.Errorf("stored: %d bytes, %v", len(got), err)
	}
	if n := p.origin.count("blob " + app.String() + " " + p.digest.String()); n != 1 {
		p.t.Errorf("%d transfers of the complete blob", n)
	}
}

func (p *distant) parts(want int) {
	p.t.Helper()
	if n := p.origin.count("part"); n != want {
		p.t.Errorf("%d requests for parts, want %d", n, want)
	}
}

var footer = mirror.Span{Off: 8*mib - 51, Len: 51}

// TestSpanBeforeTheDownload checks that the end of a large blob is served before the rest, which is downloaded anyway.
func TestSpanBeforeTheDownload(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := startDistant(t)
		p.wants(p.read(p.open(footer), footer), footer)
		far, rest := mirror.Span{Off: 2 * mib, Len: 100}, mirror.Span{Off: 5 * mib, Len: 1000}
		blob := p.open(far, rest)
		p.wants(p.read(blob, far), far)
		p.wants(p.read(blob, rest), rest)
		p.parts(3)
		p.ends(0)
		p.parts(3)
	})
}

// TestSpanFromTheDownload checks that spans which the download reaches soon, or which are large, are not transferred
// twice.
func TestSpanFromTheDownload(t *testing.T) {
	for name, spans := range map[string][]mirror.Span{
		"near":                 {{Off: mib - 1, Len: 100}},
		"all of it":            {{Off: 0, Len: 8 * mib}},
		"the rest":             {{Off: 5 * mib, Len: 3 * mib}},
		"one that is not said": nil,
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := startDistant(t)
				s := mirror.Span{Off: 6 * mib, Len: 10}
				if len(spans) > 0 {
					s = spans[0]
				}
				r := p.read(p.open(spans...), s)
				p.waits(r)
				p.ends(0)
				p.wants(r, s)
				p.parts(0)
			})
		})
	}
}

// TestSpansAreLimited checks that at most a quarter of a blob is transferred beside its download, in a limited number
// of spans.
func TestSpansAreLimited(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := startDistant(t)
		one, two := mirror.Span{Off: 4 * mib, Len: mib}, mirror.Span{Off: 5 * mib, Len: mib}
		p.wants(p.read(p.open(one), one), one)
		p.wants(p.read(p.open(two), two), two)
		late := p.read(p.open(footer), footer)
		p.waits(late)
		p.parts(2)
		p.ends(0)
		p.wants(late, footer)
	})
	inTime(t, func(t *testing.T) {
		p := startDistant(t)
		for range 64 {
			p.wants(p.read(p.open(footer), footer), footer)
		}
		late := p.read(p.open(footer), footer)
		p.waits(late)
		p.parts(64)
		p.ends(0)
	})
}

// TestFailedSpanFallsBackToTheDownload checks that the download serves the bytes if the upstream sends no part, a wrong
// one, or breaks off.
func TestFailedSpanFallsBackToTheDownload(t *testing.T) {
	for name, prepare := range map[string]func(o *origin){
		"refused": func(o *origin) {
			o.set(func(_ context.Context, call string) error {
				if strings.HasPrefix(call, "part") {
					return errDown
				}
				return nil
			})
		},
		"another size": func(o *origin) {
			o.part = func(_ context.Context, part string) (io.ReadCloser, int64) {
				return io.NopCloser(strings.NewReader(part)), 7 * mib
			}
		},
		"broken off": func(o *origin) {
			o.part = func(_ context.Context, part string) (io.ReadCloser, int64) {
				return io.NopCloser(io.MultiReader(strings.NewReader(part[:20]), failing{})), 8 * mib
			}
		},
		"short": func(o *origin) {
			o.part = func(_ context.Context, part string) (io.ReadCloser, int64) {
				return io.NopCloser(strings.NewReader(part[:20])), 8 * mib
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := startDistant(t)
				prepare(p.origin)
				first := p.read(p.open(footer), footer)
				p.waits(first)
				second := p.read(p.open(footer), footer)
				p.waits(second)
				p.parts(1) // and no more
				p.ends(0)
				p.wants(first, footer)
				p.wants(second, footer)
			})
		})
	}
}

// failing is a reader that always fails.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("reset") }

// TestDownloadOvertakesASpan checks that a client of a slow span gets the bytes of the download if that is faster.
func TestDownloadOvertakesASpan(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := startDistant(t)
		p.origin.set(hangs("part"))
		s := mirror.Span{Off: 3 * mib, Len: 51}
		r := p.read(p.open(s), s)
		p.waits(r)
		p.arrive(0, 4*mib)
		p.wants(r, s)
		p.origin.set(nil)
		p.wants(p.read(p.open(footer), footer), footer) // the upstream did not refuse
		p.ends(4 * mib)
	})
}

// TestSpanOfAFailedDownloadBreaksOff checks that a span breaks off if the download has turned out wrong, and that
// nothing is stored.
func TestSpanOfAFailedDownloadBreaksOff(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := startDistant(t)
		slow, send := io.Pipe()
		p.origin.part = func(context.Context, string) (io.ReadCloser, int64) { return slow, 8 * mib }
		r := p.read(p.open(footer), footer)
		_, err := io.WriteString(send, strings.Repeat("x", 50))
		p.must(err)
		synctest.Wait()
		p.waits(r)
		_, err = io.WriteString(p.body, strings.Repeat("x", 8*mib))
		p.must(err)
		p.must(p.body.Close())
		synctest.Wait()
		go func() { _, _ = io.WriteString(send, "x") }()
		synctest.Wait()
		if !r.done || r.err == nil || len(r.got) == 51 {
			t.Errorf("done %t, %d bytes, %v", r.done, len(r.got), r.err)
		}
		p.must(p.SetMode(t.Context(), mirror.Offline))
		if _, err := p.place.read(app, p.digest); mirror.CodeOf(err) != mirror.CodeBlobUnknown {
			t.Errorf("it is stored: %v", err)
		}
		_ = slow.Close()
	})
}

// TestSpanEndsOffline checks that a span ends when the mirror goes offline, and with its client.
func TestSpanEndsOffline(t *testing.T) {
	for name, end := range map[string]func(p *distant){
		"offline": func(p *distant) { p.must(p.SetMode(p.t.Context(), mirror.Offline)) },
		"left":    func(p *distant) { p.leave() },
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := startDistant(t)
				ended := make(chan struct{})
				body, send := io.Pipe()
				p.origin.part = func(ctx context.Context, _ string) (io.ReadCloser, int64) {
					context.AfterFunc(ctx, func() { _ = send.CloseWithError(ctx.Err()); close(ended) })
					return body, 8 * mib
				}
				p.waits(p.read(p.open(footer), footer))
				end(p)
				select {
				case <-ended:
				case <-time.After(time.Minute):
					t.Error("the transfer of the part continues")
				}
				_ = p.body.CloseWithError(io.ErrClosedPipe)
				synctest.Wait()
			})
		})
	}
}
