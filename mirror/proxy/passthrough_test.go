package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"airmirror/mirror"
	"airmirror/mirror/proxy"
)

// disk is a store with room for a number of bytes of each blob. Without room, it also stores no state and no manifests.
type disk struct {
	mirror.Store
	room atomic.Int64 // -1: enough
	// full is where the disk is found to be full.
	atReceive, atCommit bool
}

func (d *disk) Receive(ctx context.Context, want digest.Digest) (mirror.BlobWriter, error) {
	if d.atReceive {
		return nil, syscall.ENOSPC
	}
	in, err := d.Store.Receive(ctx, want)
	return &fullIncoming{BlobWriter: in, disk: d, room: d.room.Load()}, err
}

func (d *disk) PutManifest(ctx context.Context, repo mirror.Repo, m mirror.Manifest, tags ...string) error {
	if d.room.Load() == 0 {
		return syscall.ENOSPC
	}
	return d.Store.PutManifest(ctx, repo, m, tags...)
}

type fullIncoming struct {
	mirror.BlobWriter
	disk *disk
	room int64
}

func (i *fullIncoming) Write(p []byte) (int, error) {
	if i.room < 0 {
		return i.BlobWriter.Write(p)
	}
	n, err := i.BlobWriter.Write(p[:min(int64(len(p)), i.room)])
	if i.room -= int64(n); err == nil && n < len(p) {
		err = syscall.ENOSPC
	}
	return n, err
}

func (i *fullIncoming) Commit(ctx context.Context, repo mirror.Repo) error {
	if i.disk.atCommit {
		_ = i.Abort()
		return syscall.ENOSPC
	}
	return i.BlobWriter.Commit(ctx, repo)
}

// startFull starts a mirror on a disk.
func startFull(t *testing.T, room int64, d *disk) *place {
	d.room.Store(room)
	return startOver(t, proxy.Options{}, func(s mirror.Store) mirror.Store { d.Store = s; return d })
}

func (d *disk) SetState(ctx context.Context, bucket string, notes map[string][]byte) error {
	if d.room.Load() == 0 {
		return syscall.ENOSPC
	}
	return d.Store.SetState(ctx, bucket, notes)
}

func TestFullDiskDoesNotPreventOffline(t *testing.T) {
	d := &disk{}
	p := startFull(t, 0, d)
	p.origin.set(forbidden(t))
	err := p.SetMode(t.Context(), mirror.Offline)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "the mode is offline now") {
		t.Error(err)
	}
	if p.Mode() != mirror.Offline {
		t.Errorf("mode is %s", p.Mode())
	}
	p.missing(byTag("v1"))
	d.room.Store(-1)
}

// long is longer than the buffers.
var long = strings.Repeat("0123456789abcdef", 40_000)

func TestFullDiskPassesBlobsThrough(t *testing.T) {
	for name, tt := range map[string]struct {
		room                int64
		atReceive, atCommit bool
	}{
		"full when the blob begins":        {atReceive: true},
		"full at the first byte":           {},
		"full in the middle":               {room: 300_000},
		"full at the last byte":            {room: int64(len(long)) - 1},
		"full when the blob is to be kept": {room: -1, atCommit: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := &disk{atReceive: tt.atReceive, atCommit: tt.atCommit}
			d.room.Store(tt.room)
			core, logs := observer.New(zap.ErrorLevel)
			p := startOver(t, proxy.Options{Log: zap.New(core)}, func(s mirror.Store) mirror.Store { d.Store = s; return d })
			blob := p.origin.put(long).Digest
			for range 2 {
				got, err := p.read(app, blob)
				if err != nil || got != long {
					t.Fatalf("got %d bytes, %v", len(got), err)
				}
			}
			if wants := p.wants(); len(wants) != 0 {
				t.Errorf("wants of served content: %s", wants)
			}
			kept := logs.FilterMessageSnippet("cannot store a blob: check whether the disk is full").FilterField(zap.Stringer("blob", blob)).All()
			if len(kept) == 0 || kept[0].ContextMap()["error"] != "no space left on device" {
				t.Errorf("the log does not say why: %v", logs.All())
			}
			if stat, err := p.store.StatBlob(t.Context(), app, blob); err != nil || stat.Stored {
				t.Errorf("%+v, %v: nothing of it is kept", stat, err)
			}
			d.atReceive, d.atCommit = false, false
			d.room.Store(-1)
			p.pull(long)
			p.must(p.FetchBlob(t.Context(), app, blob, nil))
			p.origin.set(down)
			p.pull(long)
		})
	}
}

func TestFullDiskAnswersRanges(t *testing.T) {
	p := startFull(t, 100_000, &disk{})
	blob := p.origin.put(long).Digest
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		blob, err := p.Blob(r.Context(), app, blob)
		if err != nil {
			t.Error(err)
			return
		}
		defer blob.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, blob)
	}))
	defer server.Close()
	for _, part := range []struct{ from, to int }{{0, 9}, {99_000, 101_000}, {200_000, 200_000}, {500_000, len(long) - 1}, {len(long) - 1, len(long) - 1}} {
		req, err := http.NewRequest("GET", server.URL, nil)
		p.must(err)
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", part.from, part.to))
		resp, err := http.DefaultClient.Do(req)
		p.must(err)
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusPartialContent || string(got) != long[part.from:part.to+1] {
			t.Errorf("%d-%d: %s, %d bytes, %v", part.from, part.to, resp.Status, len(got), err)
		}
	}
}

func TestFullDiskPassesManifestsThrough(t *testing.T) {
	p := startFull(t, 0, &disk{})
	d := p.origin.image(app, []string{"layer"}, "v1").Digest
	for range 2 {
		p.get(byTag("v1"), d)
		p.pull("layer")
	}
	_, err := p.Fetch(t.Context(), byTag("v1"), mirror.FetchOptions{})
	if err == nil || !errors.Is(err, syscall.ENOSPC) && !strings.Contains(err.Error(), "cannot be stored") {
		t.Errorf("a fetch that keeps nothing: %v", err)
	}
	if err := p.FetchBlob(t.Context(), app, digest.FromString("layer"), nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a fetch that keeps nothing: %v", err)
	}
}

func TestPassthroughOfWrongBytesFails(t *testing.T) {
	truncate := func(content string) (string, int64) { return content[:len(content)-1], int64(len(content)) }
	for name, send := range map[string]func(content string) (body string, size int64){
		"other bytes":                  func(c string) (string, int64) { return strings.ToUpper(c), int64(len(c)) },
		"the last byte":                func(c string) (string, int64) { return c[:len(c)-1] + "!", int64(len(c)) },
		"fewer bytes":                  truncate,
		"fewer bytes, and said to be":  func(c string) (string, int64) { return c[:9], 9 },
		"more bytes, and said to be":   func(c string) (string, int64) { return c + c, int64(2 * len(c)) },
		"no bytes, and said to be":     func(string) (string, int64) { return "", 0 },
		"other bytes of unknown size":  func(c string) (string, int64) { return strings.ToUpper(c), -1 },
		"fewer bytes of unknown size":  func(c string) (string, int64) { return c[:9], -1 },
		"a portal's page":              func(string) (string, int64) { return "<html>", 6 },
		"a portal's page, not counted": func(string) (string, int64) { return "<html>", -1 },
	} {
		for where, room := range map[string]int64{"kept": -1, "straight through": 3} {
			t.Run(name+", "+where, func(t *testing.T) {
				p := startFull(t, room, &disk{})
				blob := p.origin.put(long).Digest
				p.origin.body = func(_ context.Context, content string) (io.ReadCloser, int64) {
					body, size := send(content)
					return io.NopCloser(readerOf(body)), size
				}
				got, err := p.read(app, blob)
				if err == nil {
					t.Errorf("%d bytes ended cleanly", len(got))
				}
				if stat, err := p.store.StatBlob(t.Context(), app, blob); err != nil || stat.Stored {
					t.Errorf("%+v, %v: nothing of it is kept", stat, err)
				}
				p.origin.sends(nil)
				p.pull(long)
			})
		}
	}
}

func TestEmptyBlobPassesThrough(t *testing.T) {
	for _, room := range []int64{-1, 0} {
		p := startFull(t, room, &disk{atReceive: room == 0})
		p.origin.put("")
		p.pull("")
	}
}

// TestReadersContinueWhenTheDiskFills checks that all clients of a download continue with a passthrough when the disk
// ends it.
func TestReadersContinueWhenTheDiskFills(t *testing.T) {
	inTime(t, func(t *testing.T) {
		p := startFull(t, 300_000, &disk{})
		blob := p.origin.put(long).Digest
		release := make(chan bool)
		p.origin.body = func(_ context.Context, content string) (io.ReadCloser, int64) {
			return &halting{Reader: readerOf(content), release: release}, int64(len(content))
		}
		errs := make(chan error, 5)
		for range cap(errs) {
			go func() {
				got, err := p.read(app, blob)
				if err == nil && got != long {
					err = fmt.Errorf("got %d bytes that are others", len(got))
				}
				errs <- err
			}()
		}
		synctest.Wait()
		if n := p.origin.count("blob"); n != 1 {
			t.Errorf("%d transfers for several clients", n)
		}
		close(release)
		for range cap(errs) {
			p.must(<-errs)
		}
	})
}

// halting sends some bytes and the rest when it is released.
type halting struct {
	io.Reader
	release chan bool
	sent    bool
}

func (h *halting) Read(p []byte) (int, error) {
	if h.sent {
		<-h.release
	}
	h.sent = true
	return h.Reader.Read(p)
}

func (h *halting) Close() error { return nil }
