package proxy

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// queue returns a backfill of up to size images that completes none.
func queue(size int64) *backfill {
	tasks := newTasks()
	tasks.close()
	return &backfill{
		enabled: func(mirror.Repo) (bool, bool) { return true, false }, tasks: tasks, log: zap.NewNop(),
		images: map[mirror.Ref]*backfillImage{}, unpulled: map[mirror.Ref]bool{}, shares: mirror.NewShares[string](size), turns: map[string]int{},
	}
}

// pull enqueues n images for a client.
func (b *backfill) pull(t *testing.T, last byte, n int) {
	ctx := mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(192, 0, 2, last), Port: 4000})
	for i := range n {
		b.enqueue(ctx, mirror.Ref{Repo: mirror.Repo{Host: "docker.io", Path: strconv.Itoa(int(last))}, Digest: digest.FromString(strconv.Itoa(i))})
	}
	for _, image := range b.images {
		image.saved = true
	}
}

// TestBackfillSharesTheQueue checks that a client that pulls endless images takes no more of the queue than it leaves free.
func TestBackfillSharesTheQueue(t *testing.T) {
	b := queue(100)
	b.pull(t, 66, 200)
	b.pull(t, 1, 3)
	b.pull(t, 66, 200)
	of := map[string]int{}
	for ref := range b.images {
		of[ref.Repo.Path]++
	}
	if of["66"] != 50 || of["1"] != 3 {
		t.Errorf("images by client: %v", of)
	}
	for ref := range b.images {
		b.remove(ref)
	}
	if n, _ := b.shares.Used(); n != 0 || len(b.turns) != 0 {
		t.Errorf("%d images are counted, want 0", n)
	}
}

// TestBackfillTakesTurns checks that clients with the fewest running images come first, then those that have waited longest,
// and that the images of a client are completed in order.
func TestBackfillTakesTurns(t *testing.T) {
	b := queue(1000)
	b.pull(t, 66, 100)
	b.pull(t, 1, 2)
	b.pull(t, 2, 1)
	begin := func(want string) *backfillImage {
		t.Helper()
		ref, next := b.next(time.Now())
		if next == nil || ref.Repo.Path != want {
			t.Fatalf("next is %s, want %s", ref, want)
		}
		return next
	}
	first := begin("66")
	begin("1")
	begin("2")
	second := begin("66")
	first.running, first.next = false, time.Now().Add(time.Hour) // after a failure it waits
	second.running, second.next = false, time.Now().Add(time.Hour)
	third := begin("66")
	begin("1")
	if !(first.queued < second.queued && second.queued < third.queued) {
		t.Error("the images of a client are not begun in order")
	}
}
