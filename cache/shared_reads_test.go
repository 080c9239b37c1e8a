package cache

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/opencontainers/go-digest"
)

// TestSharedReads reads each digest once for all callers, and only some digests at a time.
func TestSharedReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &sharedReads[[]byte]{slots: make(chan struct{}, maxLargeReads)}
		reads, most, release := 0, 0, make(chan bool)
		under := make(chan int, 1)
		under <- 0
		read := func(d digest.Digest) func(context.Context) ([]byte, error) {
			return func(context.Context) ([]byte, error) {
				n := <-under
				reads++
				most = max(most, n+1)
				under <- n + 1
				<-release
				under <- <-under - 1
				return []byte(d), nil
			}
		}
		const manifests, readers = 3 * maxLargeReads, 5
		got := make(chan []byte, manifests*readers)
		for i := range manifests * readers {
			d := digest.FromString(strconv.Itoa(i % manifests))
			go func() {
				data, err := l.do(t.Context(), d, read(d))
				if err != nil || string(data) != string(d) {
					t.Errorf("%s: %q, %v", d, data, err)
				}
				got <- data
			}()
		}
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.do(gone, digest.FromString("0"), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("a caller whose context ended got %v", err)
		}
		close(release)
		for range manifests * readers {
			<-got
		}
		if reads != manifests || most != maxLargeReads || len(l.calls) != 0 {
			t.Errorf("%d reads, at most %d at a time, %d left", reads, most, len(l.calls))
		}
	})
}
