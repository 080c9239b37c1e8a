package cache_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"airmirror/cache"
	"airmirror/cache/bolt"
	"airmirror/mirror"
)

// large is an index of 1,000,000 blobs in 100,000 images. It is built once for all benchmarks.
var large = cache.Synthetic{Images: 100_000, Layers: 11, Repos: 2000, Added: time.Now().Add(-1000 * time.Hour).UTC().Round(0)}

var buildLarge = sync.OnceValues(func() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "large"); err != nil {
		return "", err
	}
	index, err := bolt.Open(filepath.Join(folder, "index.db"))
	if err != nil {
		return "", err
	}
	return folder, errors.Join(large.Build(context.Background(), index), index.Close())
})

func TestMain(m *testing.M) {
	code := m.Run()
	if built.Load() {
		if folder, _ := buildLarge(); folder != "" {
			os.RemoveAll(folder)
		}
	}
	os.Exit(code)
}

var built atomic.Bool

// openLarge opens a copy of the large index.
func openLarge(b *testing.B) *cache.Store {
	if testing.Short() {
		b.Skip("builds a large index")
	}
	built.Store(true)
	folder, err := buildLarge()
	if err != nil {
		b.Fatal(err)
	}
	own := b.TempDir()
	if err := copyFile(filepath.Join(own, "index.db"), filepath.Join(folder, "index.db")); err != nil {
		b.Fatal(err)
	}
	s := newStore(b, openFiles(b, b.TempDir()), openBolt(b, own), cache.Options{})
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func copyFile(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Sync(), target.Close()) // otherwise the first commit would wait for it
}

// BenchmarkSurvey reads everything, as a plan does.
func BenchmarkSurvey(b *testing.B) {
	s := openLarge(b)
	var peak uint64
	for b.Loop() {
		began := time.Now()
		var manifests, blobs, tags int
		err := s.Survey(b.Context(), func(v mirror.Survey) error {
			for _, err := range v.Manifests() {
				if manifests++; err != nil {
					return err
				}
			}
			b.ReportMetric(time.Since(began).Seconds(), "s/manifests")
			for _, err := range v.Tags() {
				if tags++; err != nil {
					return err
				}
			}
			for _, err := range v.Blobs() {
				if blobs++; err != nil {
					return err
				}
				if blobs%200_000 == 0 {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapInuse)
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		if manifests != large.Images || tags != large.Images || blobs < 9*large.Images {
			b.Fatalf("%d manifests, %d tags, %d blobs", manifests, tags, blobs)
		}
		b.ReportMetric(float64(blobs), "blobs")
		b.ReportMetric(float64(peak)/(1<<20), "MiB-heap")
	}
}

// BenchmarkSweep deletes every twentieth image while another client writes. It reports the duration of the transactions
// and how long the client waited.
func BenchmarkSweep(b *testing.B) {
	for b.Loop() {
		s := openLarge(b)
		manifests, bytes := 0, int64(0)
		var took []time.Duration
		began := time.Now()
		pushed := meanwhile(b, s, func() {
			err := s.Sweep(b.Context(), func(yield func(mirror.DeleteRequest) bool) {
				for i := 0; i < large.Images; i += 20 {
					c := mirror.DeleteRequest{
						Repo:      large.Repo(i),
						Tags:      []mirror.ObservedTag{{Name: large.Tag(i), Digest: large.Digest(i)}},
						Manifests: []mirror.ObservedManifest{{Digest: large.Digest(i), Used: time.Now()}},
						Before:    time.Now(),
					}
					if !yield(c) {
						return
					}
				}
			}, func(result mirror.DeleteResult) {
				if result.Kept != "" {
					b.Error(result.Kept)
				}
				manifests += result.Manifests
				bytes += result.Bytes
				took = append(took, result.Longest)
			})
			if err != nil {
				b.Error(err)
			}
		})
		if manifests != large.Images/20 {
			b.Errorf("%d images were deleted", manifests)
		}
		b.ReportMetric(float64(manifests)/time.Since(began).Seconds(), "images/s")
		slices.Sort(took)
		slices.Sort(pushed)
		for name, list := range map[string][]time.Duration{"sweep": took, "push": pushed} {
			b.ReportMetric(list[len(list)/2].Seconds()*1000, "ms-"+name+"-median")
			b.ReportMetric(list[len(list)*99/100].Seconds()*1000, "ms-"+name+"-99%")
			b.ReportMetric(list[len(list)-1].Seconds()*1000, "ms-"+name+"-longest")
		}
	}
}

// meanwhile writes state while f runs, and returns how long each write took.
func meanwhile(b *testing.B, s *cache.Store, f func()) (took []time.Duration) {
	var stop atomic.Bool
	var writer sync.WaitGroup
	writer.Go(func() {
		for !stop.Load() {
			began := time.Now()
			if err := s.SetState(context.Background(), "bench", map[string][]byte{"a": []byte(began.String())}); err != nil {
				b.Error(err)
			}
			took = append(took, time.Since(began))
		}
	})
	f()
	stop.Store(true)
	writer.Wait()
	return took
}
