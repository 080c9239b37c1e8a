package gc_test

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

// largeStore is a store of many images, generated while it is read: images of ten blobs each, with different digests,
// and a base layer that a hundred images share. The first images were used last.
type largeStore struct {
	*surveyStore
	images int
}

const largeRepos, largeBlobs = 500, 10

// digest returns the i-th digest.
func (v largeStore) digest(i int) digest.Digest {
	const span = 1 << 63
	step := uint64(span) / uint64(v.images*(largeBlobs+1)) * 2
	return digest.Digest(fmt.Sprintf("sha256:%016x%048x", uint64(i)*step, i))
}

func (v largeStore) Survey(_ context.Context, f func(mirror.Survey) error) error { return f(v) }

func (v largeStore) Repos() []mirror.SurveyedRepo {
	repos := make([]mirror.SurveyedRepo, largeRepos)
	for i := range repos {
		repos[i].Repo = mirror.Repo{Host: "docker.io", Path: fmt.Sprintf("library/app%06d", i)}
	}
	return repos
}

func (v largeStore) Manifests() iter.Seq2[*mirror.SurveyedManifest, error] {
	return func(yield func(*mirror.SurveyedManifest, error) bool) {
		m := mirror.SurveyedManifest{Origin: mirror.Mirrored}
		for i := range v.images {
			first := i * (largeBlobs + 1)
			m.Repo, m.Digest, m.Blobs = i*largeRepos/v.images, v.digest(first), m.Blobs[:0]
			m.Added, m.Used = ago(time.Duration(i+2)*time.Hour), ago(time.Duration(i+1)*time.Hour)
			for n := range largeBlobs {
				m.Blobs = append(m.Blobs, v.digest(first+1+n))
			}
			m.Blobs = append(m.Blobs, v.digest(i/100*100*(largeBlobs+1)+1))
			if !yield(&m, nil) {
				return
			}
		}
	}
}

func (v largeStore) Tags() iter.Seq2[mirror.SurveyedTag, error] {
	return func(yield func(mirror.SurveyedTag, error) bool) {
		for i := range v.images {
			tag := mirror.Tag{Digest: v.digest(i * (largeBlobs + 1)), Origin: mirror.Mirrored, Updated: ago(time.Duration(v.images+2) * time.Hour)}
			if !yield(mirror.SurveyedTag{Repo: i * largeRepos / v.images, Name: fmt.Sprintf("v%08d", i), Tag: tag}, nil) {
				return
			}
		}
	}
}

func (v largeStore) Blobs() iter.Seq2[*mirror.SurveyedBlob, error] {
	return func(yield func(*mirror.SurveyedBlob, error) bool) {
		b := mirror.SurveyedBlob{Size: 1000, Used: ago(2 * time.Hour), Users: 1}
		for i := range v.images * (largeBlobs + 1) {
			b.Digest = v.digest(i)
			if !yield(&b, nil) {
				return
			}
		}
	}
}

// BenchmarkPlan makes a plan for a generated store that deletes half of it. It reports the live memory of the plan
// and the peak of the heap, including garbage.
func BenchmarkPlan(b *testing.B) {
	for _, images := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("blobs=%d", images*largeBlobs), func(b *testing.B) {
			v := largeStore{newSurvey(nil), images}
			b.ReportAllocs()
			for b.Loop() {
				peak := watchHeap()
				p, err := gc.MakePlan(b.Context(), v, v, gc.Options{Policy: gc.Policy{MaxSize: gc.Size(images*5500) + 1, ShrinkTo: gc.Size(images * 5500)}}, now)
				if err != nil || p.Totals.Bytes < int64(images*5500) {
					b.Fatal(p.Totals, err)
				}
				most := peak()
				b.ReportMetric(float64(most)/(1<<20), "MiB-peak")
				b.ReportMetric(float64(heap(true))/(1<<20), "MiB-plan")
				runtime.KeepAlive(p)
			}
		})
	}
}

// watchHeap samples the heap until the returned function is called, which returns by how much it grew at most.
func watchHeap() (most func() uint64) {
	before := heap(true)
	stop, done := make(chan bool), make(chan uint64)
	go func() {
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		var peak uint64
		for {
			peak = max(peak, heap(false))
			select {
			case <-ticker.C:
			case <-stop:
				done <- peak
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return max(<-done, before) - before
	}
}

// heap returns the size of the heap in bytes.
func heap(collect bool) uint64 {
	if collect {
		runtime.GC()
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
