package proxy_test

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// trickle makes blobs arrive up to their middle, and the rest when release is closed. If the transfer ends before that, it
// closes ended.
func trickle(p *place) (release, ended chan struct{}) {
	release, ended = make(chan struct{}), make(chan struct{})
	p.origin.body = func(ctx context.Context, content string) (io.ReadCloser, int64) {
		r, w := io.Pipe()
		go func() {
			_, _ = io.WriteString(w, content[:len(content)/2])
			select {
			case <-release:
				_, _ = io.WriteString(w, content[len(content)/2:])
				w.Close()
			case <-ctx.Done():
				w.CloseWithError(ctx.Err())
				close(ended)
			}
		}()
		return r, int64(len(content))
	}
	return release, ended
}

// TestCancelledFetchEndsItsDownloads checks which downloads continue when a fetch that started or joined them is
// cancelled.
func TestCancelledFetchEndsItsDownloads(t *testing.T) {
	d := digest.FromString("a layer")
	fetch := func(ctx context.Context, p *place) { _, _ = p.Fetch(ctx, byTag("v1"), mirror.FetchOptions{}) }
	fetchBlob := func(ctx context.Context, p *place) { _ = p.FetchBlob(ctx, app, d, nil) }
	client := func(ctx context.Context, p *place) {
		if blob, err := p.Blob(ctx, app, d); err == nil {
			_, _ = io.Copy(io.Discard, blob)
			blob.Close()
		}
	}
	pull := func(ctx context.Context, p *place) { _, _ = p.Manifest(ctx, byTag("v1")) }
	for name, tt := range map[string]struct {
		first, second func(ctx context.Context, p *place)
		stop          bool // the second as well
		ends          bool
	}{
		"nobody else":                       {first: fetch, ends: true},
		"nobody else, of a blob":            {first: fetchBlob, ends: true},
		"another fetch":                     {first: fetch, second: fetch},
		"another fetch that is stopped too": {first: fetch, second: fetch, stop: true, ends: true},
		"a client":                          {first: fetch, second: client},
		"a client that has gone":            {first: fetch, second: client, stop: true},
		"a client that began it":            {first: client, second: fetch, stop: true},
		"a pulled image":                    {first: pull, second: fetch, stop: true},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, completing(name == "a pulled image", false))
				man := p.origin.image(app, []string{"a layer"}, "v1").Digest
				if name != "nobody else, of a blob" {
					p.stat(byTag("v1"), man)
				}
				p.must(p.FetchBlob(t.Context(), app, digest.FromString("{}"), nil))
				release, ended := trickle(p)
				first, stop := context.WithCancel(t.Context())
				go tt.first(first, p)
				synctest.Wait()
				second, stopSecond := context.WithCancel(t.Context())
				defer stopSecond()
				if tt.second != nil {
					go tt.second(second, p)
					synctest.Wait()
				}
				stop()
				if tt.stop {
					stopSecond()
				}
				synctest.Wait()
				transfers := p.Status().Downloads
				if tt.ends {
					select {
					case <-ended:
					case <-time.After(time.Second):
						t.Error("the transfer continues")
					}
					if transfers != 0 {
						t.Errorf("%d downloads, want none", transfers)
					}
					p.origin.sends(nil)
					p.pull("a layer") // nothing is left behind that is in the way of the next one
					return
				}
				if transfers != 1 {
					t.Errorf("%d downloads, want one", transfers)
				}
				close(release)
				later(time.Second)
				p.origin.set(down)
				p.pull("a layer")
				if n := p.origin.count("blob origin.test/org/app " + d.String()); n != 1 {
					t.Errorf("%d transfers, want one", n)
				}
			})
		})
	}
}

// TestCancelledFetchEndsAWaitingDownload checks a download whose upstream has not answered yet: the next subscriber
// does not wait for it.
func TestCancelledFetchEndsAWaitingDownload(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.put("a layer").Digest
		p.origin.set(hangs("blob"))
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if err := p.FetchBlob(ctx, app, d, nil); err != context.DeadlineExceeded {
			t.Error(err)
		}
		p.origin.set(nil)
		p.pull("a layer")
		if wants := p.wants(); len(wants) != 0 {
			t.Errorf("wants without a client: %s", wants)
		}
	})
}
