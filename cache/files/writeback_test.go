package files

import (
	"os"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
)

// TestWritebackDoesNotBlockWriter has the disk's queue full all the time: writes and Commit go on, and it is told again only
// when it has taken what it was told before.
func TestWritebackDoesNotBlockWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, t.TempDir())
		type span struct{ from, n int64 }
		var told []span
		room := make(chan struct{})
		f.startWriteback = func(_ *os.File, from, n int64) {
			told = append(told, span{from, n})
			<-room
		}
		w := create(t, f, "", "")
		data := make([]byte, writebackStep)
		write := func() {
			if _, err := w.Write(data); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for range 3 {
			write()
		}
		if len(told) != 1 || told[0] != (span{0, writebackStep}) {
			t.Fatalf("told of %v, want the first step alone", told)
		}
		room <- struct{}{}
		synctest.Wait()
		write()
		if len(told) != 2 || told[1] != (span{writebackStep, 3 * writebackStep}) {
			t.Fatalf("told of %v, want all that came since the first step", told)
		}
		d := digest.FromBytes(make([]byte, 4*writebackStep))
		if err := w.Commit(t.Context(), d); err != nil {
			t.Error(err)
		}
		close(room)
	})
}
