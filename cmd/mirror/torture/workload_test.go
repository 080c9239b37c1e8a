//go:build torture

package torture_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const (
	pushers       = 4
	pullers       = 2
	pusherTags    = 12
	upstreamRepos = 24
)

// workload is everything that clients and the operator do with one data folder.
type workload struct {
	*history
	root     string // data, and files of the operator beside it
	collect  bool   // with collections that keep nothing of what is unused, so that blobs without a manifest are deleted
	upstream *upstream
	bundles  *bundles
}

func (w *workload) data() string { return w.root + "/data" }

// flags are those of a server that is online.
func (w *workload) flags() []string { return []string{"--upstream", "docker.io=" + w.upstream.url} }

// run works with a server until the context ends. The part names the work for the choice of operations.
func (w *workload) run(ctx context.Context, t *testing.T, s *server, part uint64) {
	var wg sync.WaitGroup
	defer wg.Wait()
	repeat := func(n uint64, f func(c *client, rnd *rand.Rand) error) {
		c, rnd := newClient(ctx, t, s.url), random(part, n)
		wg.Go(func() {
			for ctx.Err() == nil {
				if err := f(c, rnd); panicked(err) {
					t.Error(err)
				}
			}
		})
	}
	for n := range uint64(pushers) {
		repeat(n, func(c *client, rnd *rand.Rand) error { return w.pusher(ctx, c, rnd, n) })
	}
	for n := range uint64(pullers) {
		repeat(100+n, func(c *client, rnd *rand.Rand) error { return w.upstream.pullThrough(c, rnd) })
	}
	if !w.collect {
		repeat(200, w.looseBlob)
	}
	repeat(300, func(_ *client, rnd *rand.Rand) error { return w.operator(ctx, rnd) })
}

// pusher makes one change to a tag of its own: a push, a mount, a tag of a stored image, or a deletion.
func (w *workload) pusher(ctx context.Context, c *client, rnd *rand.Rand, n uint64) error {
	repo := fmt.Sprintf("team/app%d", n)
	ref := func() string { return fmt.Sprintf("%s:t%d", repo, rnd.IntN(pusherTags)) }
	to := ref()
	switch rnd.IntN(8) {
	case 0:
		from := fmt.Sprintf("team/app%d:t%d", rnd.IntN(pushers), rnd.IntN(pusherTags))
		return w.produce("tag:"+to, func() (string, error) { return c.mount(from, to) })
	case 1:
		what, also := newContent(rnd), ref()
		if err := w.push(c, to, what, c.push); err != nil {
			return err
		}
		return w.push(c, also, what, c.tag)
	case 2:
		return w.attempt("tag:"+to, absent, func() error { return c.remove(to) })
	case 3:
		args := []string{"rm", to}
		if w.collect && rnd.IntN(2) == 0 {
			args = append(args, "--now")
		}
		return w.attempt("tag:"+to, absent, func() error {
			_, err := command(ctx, w.data(), "", args...)
			return err
		})
	default:
		return w.push(c, to, newContent(rnd), c.push)
	}
}

// push gives a tag content. A collection that keeps nothing of what is unused may delete the images of an index before the
// index is pushed, so what was stored is read.
func (w *workload) push(c *client, ref string, what content, f func(string, content) error) error {
	if _, index := what.(v1.ImageIndex); !index || !w.collect {
		return w.attempt("tag:"+ref, digestOf(what), func() error { return f(ref, what) })
	}
	return w.produce("tag:"+ref, func() (string, error) {
		if err := f(ref, what); err != nil {
			return "", err
		}
		return c.pull(ref)
	})
}

// looseBlob pushes a blob that no manifest names.
func (w *workload) looseBlob(c *client, rnd *rand.Rand) error {
	layer := newLayer(rnd, 100<<10)
	name := "blob:team/loose@" + digestOf(layer)
	return w.attempt(name, digestOf(layer), func() error { return c.pushBlob("team/loose", layer) })
}

// upstream is a registry whose images are pulled through the mirror.
type upstream struct {
	url string
	own *client

	mu  sync.Mutex
	has map[string]bool
}

func newUpstream(t *testing.T) *upstream {
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return &upstream{url: s.URL, own: newClient(t.Context(), t, s.URL), has: map[string]bool{}}
}

// pullThrough pulls an image of the upstream through the mirror. Sometimes the image is new, or its tag has moved.
func (u *upstream) pullThrough(c *client, rnd *rand.Rand) error {
	ref := fmt.Sprintf("img/a%d:v%d", rnd.IntN(upstreamRepos), rnd.IntN(2))
	what := newContent(rnd)
	u.mu.Lock()
	known := u.has[ref]
	u.has[ref] = true
	u.mu.Unlock()
	if !known || rnd.IntN(10) == 0 {
		if err := u.own.push(ref, what); err != nil {
			return err
		}
	}
	_, err := c.pull(ref)
	if err != nil && strings.Contains(err.Error(), "checksum") {
		return fmt.Errorf("pull-through of %s: %w", ref, err)
	}
	return nil
}
