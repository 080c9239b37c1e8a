package files

import (
	"os"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
)

// TestWritebackDoesNotBlockWriter has a disk whose queue is full. Writes and Commit must not wait, and the writing of
// further bytes starts only after the previous start returned.
func TestWritebackDoesNotBlockWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := open(t, t.TempDir())
		type span struct{ from, n int64 }
		var started []span
		room := make(chan struct{})
		f.startWriteback = func(_ *os.File, from, n int64) {
			started = append(started, span{from, n})
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
		if len(started) != 1 || started[0] != (span{0, writebackStep}) {
			t.Fatalf("started %v, want the first step only", started)
		}
		room <- struct{}{}
		synctest.Wait()
		write()
		if len(started) != 2 || started[1] != (span{writebackStep, 3 * writebackStep}) {
			t.Fatalf("started %v, want everything since the first step", started)
		}
		d := digest.FromBytes(make([]byte, 4*writebackStep))
		if err := w.Commit(t.Context(), d); err != nil {
			t.Error(err)
		}
		close(room)
	})
}
