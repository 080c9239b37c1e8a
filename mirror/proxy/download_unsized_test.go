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

// unsized makes blobs arrive as by trickle, without a size.
func unsized(p *place) (release, ended chan struct{}) {
	release, ended = trickle(p)
	sized := p.origin.body
	p.origin.body = func(ctx context.Context, content string) (io.ReadCloser, int64) {
		body, _ := sized(ctx, content)
		return body, -1
	}
	return release, ended
}

// TestBlobOfUnknownSizeIsReadWhileItArrives checks that all bytes but the last can be read before they are verified.
func TestBlobOfUnknownSizeIsReadWhileItArrives(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.put("0123456789").Digest
		release, _ := unsized(p)
		blob, err := p.Blob(t.Context(), app, d)
		p.must(err)
		defer blob.Close()
		if blob.Size >= 0 {
			t.Errorf("size %d, want none", blob.Size)
		}
		got := make([]byte, 10)
		n, err := blob.Read(got)
		if err != nil || string(got[:n]) != "0123" {
			t.Errorf("read %q, %v", got[:n], err)
		}
		if _, err := blob.Seek(0, io.SeekEnd); err == nil {
			t.Error("the size is known")
		}
		close(release)
		rest, err := io.ReadAll(blob)
		if err != nil || string(rest) != "456789" {
			t.Errorf("then %q, %v", rest, err)
		}
		synctest.Wait()
		p.origin.set(down)
		p.pull("0123456789")
	})
}

// TestWholeWaitsForTheSize checks a client that needs the size before it reads.
func TestWholeWaitsForTheSize(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		d := p.origin.put("0123456789").Digest
		release, _ := unsized(p)
		blob, err := p.Blob(t.Context(), app, d)
		p.must(err)
		defer blob.Close()
		time.AfterFunc(time.Second, func() { close(release) })
		size, err := blob.ReadSeekCloser.(interface{ Whole() (int64, error) }).Whole()
		if err != nil || size != 10 {
			t.Errorf("%d, %v", size, err)
		}
		if end, err := blob.Seek(0, io.SeekEnd); end != 10 || err != nil {
			t.Errorf("%d, %v", end, err)
		}
	})
}

// TestDownloadOfAnUnreferencedBlobEndsWithItsClients checks that a download of a blob that no manifest names does not
// continue without clients.
func TestDownloadOfAnUnreferencedBlobEndsWithItsClients(t *testing.T) {
	for name, announced := range map[string]bool{"announced": true, "not announced": false} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{})
				man := p.origin.image(app, []string{"a layer"}, "v1").Digest
				if announced {
					p.stat(byTag("v1"), man)
				}
				release, ended := trickle(p)
				clients := make([]mirror.Blob, 2)
				for i := range clients {
					var err error
					clients[i], err = p.Blob(t.Context(), app, digest.FromString("a layer"))
					p.must(err)
				}
				clients[0].Close()
				synctest.Wait()
				if n := p.Status().Downloads; n != 1 {
					t.Errorf("%d downloads, want the one with a reader", n)
				}
				clients[1].Close()
				clients[1].Close() // as some do
				synctest.Wait()
				if n := p.Status().Downloads; (n == 1) != announced {
					t.Errorf("%d downloads", n)
				}
				if announced {
					close(release)
				} else {
					<-ended
					p.origin.sends(nil)
				}
				p.pull("a layer")
			})
		})
	}
}
