package proxy_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// endless sends some bytes of a blob, and the rest never: reading ends with ctx, as it does for a connection.
func endless(ctx context.Context, content string) (io.ReadCloser, int64) {
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.WriteString(writer, content[:1])
		<-ctx.Done()
		writer.CloseWithError(ctx.Err())
	}()
	return reader, int64(len(content))
}

func TestOfflineCancelsRequestsAndTransfers(t *testing.T) {
	for name, before := range map[string]mirror.Mode{"auto": mirror.Auto, "online": mirror.Online, "switched": ""} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				p := start(t, proxy.Options{Mode: before, Backfill: func(mirror.Repo) (bool, bool) { return true, true }})
				d := p.origin.image(app, []string{"layer"}, "v1").Digest
				p.get(byTag("v1"), d)
				p.origin.sends(endless)
				errs := make(chan error, 3)
				go func() { _, err := p.read(app, digest.FromString("layer")); errs <- err }()
				go func() { _, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{}); errs <- err }()
				synctest.Wait()
				p.origin.set(hangs("manifest"))
				go func() { _, err := p.Manifest(t.Context(), byTag("v2")); errs <- err }()
				synctest.Wait()
				if name == "switched" { // calls in progress before the change are counted
					p.must(p.SetMode(t.Context(), mirror.Auto))
					p.must(p.SetMode(t.Context(), mirror.Online))
				}
				if n := p.Status().Downloads; n == 0 || len(errs) != 0 {
					t.Fatalf("%d transfers are in progress, %d have ended", n, len(errs))
				}
				p.must(p.SetMode(t.Context(), mirror.Offline))
				p.origin.set(forbidden(t))
				for range cap(errs) {
					if err := <-errs; err == nil {
						t.Error("a transfer ended as if nothing had happened")
					}
				}
				synctest.Wait()
				if n := p.Status().Downloads; n != 0 {
					t.Errorf("%d transfers are in progress", n)
				}
				begin := time.Now()
				p.get(byTag("v1"), d)
				p.missing(byTag("v2"))
				_, err := p.read(app, digest.FromString("layer"))
				if mirror.CodeOf(err) != mirror.CodeBlobUnknown || time.Since(begin) != 0 {
					t.Errorf("%v after %s", err, time.Since(begin))
				}
				_, _ = p.StatBlob(t.Context(), app, digest.FromString("layer"))
				_, _ = p.Tags(t.Context(), app, "", 9)
				_, _ = p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{Referrers: true})
				later(time.Minute) // backfill sends no requests either

				p.restart()
				if p.Mode() != mirror.Offline {
					t.Errorf("%s after a restart", p.Mode())
				}
				p.missing(byTag("v2"))
				later(time.Minute)
			})
		})
	}
}

func TestOnlineAgainFetches(t *testing.T) {
	p := start(t, proxy.Options{Mode: mirror.Offline})
	d := p.origin.image(app, []string{"layer"}, "v1").Digest
	p.missing(byTag("v1"))
	p.must(p.SetMode(t.Context(), mirror.Auto))
	p.get(byTag("v1"), d)
	p.pull("layer")
	p.restart()
	if p.Mode() != mirror.Auto {
		t.Errorf("mode %s, want the one that was set last", p.Mode())
	}
}

func TestTransfersContinueBetweenAutoAndOnline(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := start(t, proxy.Options{})
		p.get(byTag("v1"), p.origin.image(app, []string{"layer"}, "v1").Digest)
		release := make(chan bool)
		p.origin.set(func(ctx context.Context, _ string) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		done := make(chan error)
		go func() { _, err := p.read(app, digest.FromString("layer")); done <- err }()
		synctest.Wait()
		p.must(p.SetMode(t.Context(), mirror.Online))
		p.must(p.SetMode(t.Context(), mirror.Auto))
		close(release)
		p.must(<-done)
	})
}

func TestOnlineBypassesTheBreaker(t *testing.T) {
	p := start(t, proxy.Options{})
	var insists bool
	p.origin.set(func(ctx context.Context, _ string) error { insists = mirror.BypassesBreaker(ctx); return nil })
	for mode, want := range map[mirror.Mode]bool{mirror.Auto: false, mirror.Online: true} {
		p.must(p.SetMode(t.Context(), mode))
		p.missing(byTag("is-" + string(mode)))
		if insists != want {
			t.Errorf("%s: insists is %t", mode, insists)
		}
	}
}

func TestOfflineOptionForbidsOtherModes(t *testing.T) {
	p := start(t, proxy.Options{Offline: true, Mode: mirror.Online})
	p.origin.set(forbidden(t))
	if err := p.SetMode(t.Context(), mirror.Online); mirror.CodeOf(err) != mirror.CodeUnsupported {
		t.Error(err)
	}
	p.missing(byTag("v1"))
	if p.Mode() != mirror.Offline {
		t.Error(p.Mode())
	}
	if _, err := mirror.ParseMode("sometimes"); mirror.CodeOf(err) != mirror.CodeUnsupported {
		t.Error(err)
	}
}

func TestLocalOptionDecides(t *testing.T) {
	ours := mirror.Repo{Host: "origin.test", Path: "ours/app"}
	theirs := mirror.Repo{Host: "origin.test", Path: "theirs/app"}
	p := start(t, proxy.Options{Local: func(repo mirror.Repo) (local, decided bool) {
		return repo == ours, repo == ours || repo == theirs
	}})
	p.push(theirs, "{}")
	_, _, err := p.PutManifest(t.Context(), mirror.Put{Repo: theirs, MediaType: "application/vnd.oci.image.manifest.v1+json", Bytes: emptyImage(p.origin), Tags: []string{"pushed"}})
	p.must(err)
	d := p.origin.image(app, []string{"layer"}).Digest
	for _, repo := range []mirror.Repo{ours, theirs} {
		p.origin.tags[ofTag(repo, "v1").String()] = d
	}
	p.get(ofTag(theirs, "v1"), d)
	if err := p.missing(ofTag(ours, "v1")); mirror.CodeOf(errors.Unwrap(err)) != mirror.CodeDenied {
		t.Error(err)
	}
	if n := p.origin.count("manifest " + ours.String()); n != 0 {
		t.Errorf("%d questions for a local repository", n)
	}
}
