package proxy_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// TestTransfers checks what is listed while a blob arrives for two clients, and that nothing is listed afterwards.
func TestTransfers(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.image(app, []string{"a slow layer"}, "v1").Digest
		p.get(byTag("v1"), d)
		rest := make(chan struct{})
		p.origin.sends(func(_ context.Context, content string) (io.ReadCloser, int64) {
			return io.NopCloser(io.MultiReader(strings.NewReader(content[:6]), waitReader{rest}, strings.NewReader(content[6:]))), int64(len(content))
		})
		done := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := p.read(app, digest.FromString("a slow layer"))
				done <- err
			}()
		}
		synctest.Wait()
		got := p.Transfers(nil).Downloads
		if len(got) != 1 || got[0].Subscribers != 2 || got[0].Received != 6 || got[0].Size != 12 || got[0].Repo != app.String() || got[0].Upstream != app.Host || got[0].Since.IsZero() {
			t.Errorf("while a layer arrives: %+v", got)
		}
		if other := p.Transfers(func(r mirror.Repo) bool { return r != app }); len(other.Downloads) != 0 || other.Waiting != 0 {
			t.Errorf("of other repositories: %+v", other)
		}
		close(rest)
		for range 2 {
			p.must(<-done)
		}
		synctest.Wait()
		if got := p.Transfers(nil).Downloads; len(got) != 0 {
			t.Errorf("afterwards: %+v", got)
		}
	})
}

// waitReader is at its end when a channel is closed.
type waitReader struct{ until chan struct{} }

func (w waitReader) Read([]byte) (int, error) {
	<-w.until
	return 0, io.EOF
}
