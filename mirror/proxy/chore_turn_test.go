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

// backfilling is a mirror that completes nothing, and keeps what it is to complete, up to so many images.
func backfilling(most int64) *Proxy {
	opts := Options{Backfill: func(mirror.Repo) (bool, bool) { return true, false }}
	return &Proxy{
		opts: opts.withDefaults(), log: zap.NewNop(), closed: true,
		chores: chores{open: map[mirror.Ref]*chore{}, skipped: map[mirror.Ref]bool{}, shares: mirror.NewShares[string](most), served: map[string]int{}},
	}
}

// pulls has a client pull so many images.
func (m *Proxy) pulls(t *testing.T, last byte, n int) {
	ctx := mirror.WithClient(t.Context(), &net.TCPAddr{IP: net.IPv4(192, 0, 2, last), Port: 4000})
	for i := range n {
		m.complete(ctx, mirror.Ref{Repo: mirror.Repo{Host: "docker.io", Path: strconv.Itoa(int(last))}, Digest: digest.FromString(strconv.Itoa(i))})
	}
	for _, chore := range m.chores.open {
		chore.noted = true
	}
}

// TestBackfillOfOneClientLeavesThatOfOthers: who pulls endless images has as many waiting as are left for others, and those
// of others wait beside them.
func TestBackfillOfOneClientLeavesThatOfOthers(t *testing.T) {
	m := backfilling(100)
	m.pulls(t, 66, 200)
	m.pulls(t, 1, 3)
	m.pulls(t, 66, 200)
	of := map[string]int{}
	for ref := range m.chores.open {
		of[ref.Repo.Path]++
	}
	if of["66"] != 50 || of["1"] != 3 {
		t.Errorf("images wait by client: %v", of)
	}
	for ref := range m.chores.open {
		m.chores.remove(ref)
	}
	if n, _ := m.chores.shares.Used(); n != 0 || len(m.chores.served) != 0 {
		t.Errorf("%d are counted of none", n)
	}
}

// TestBackfillTakesTurns: those who have fewest worked on come first, then those who wait longest; and the images of each
// in the order in which they were pulled.
func TestBackfillTakesTurns(t *testing.T) {
	m := backfilling(1000)
	m.pulls(t, 66, 100)
	m.pulls(t, 1, 2)
	m.pulls(t, 2, 1)
	begin := func(want string) *chore {
		t.Helper()
		ref, next := m.chores.next(time.Now())
		if next == nil || ref.Repo.Path != want {
			t.Fatalf("it is the turn of %s, want %s", ref, want)
		}
		return next
	}
	first := begin("66")
	begin("1")
	begin("2")
	second := begin("66")
	first.working, first.next = false, time.Now().Add(time.Hour) // in vain: not again for a while
	second.working, second.next = false, time.Now().Add(time.Hour)
	third := begin("66")
	begin("1")
	if !(first.came < second.came && second.came < third.came) {
		t.Error("the images of a client are not begun in order")
	}
}
