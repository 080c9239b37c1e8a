//go:build bench

package bench_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"
)

const pullSize = 256 * mib

// BenchmarkPull pulls images that only the upstream has: the manifest by its tag, then the layer.
func BenchmarkPull(b *testing.B) {
	b.Run("50MBps", func(b *testing.B) { notQuick(b); benchmarkPull(b, "cold pull of 256 MiB, 50 MB/s", 50e6, 2) })
	b.Run("unlimited", func(b *testing.B) { benchmarkPull(b, "cold pull of 256 MiB, unlimited", 0, rounds(5)) })
}

// pulls is one way to the upstream, for each round: seconds, milliseconds, and seconds of the processor for 1 GiB.
type pulls struct{ seconds, firstByte, cpu []float64 }

func (p *pulls) add(b *testing.B, s *server, i image) {
	syncDisk() // what the last one left for the disk
	before := s.cpu()
	took, first, err := pull(s.addr, i)
	check(b, err)
	p.cpu = append(p.cpu, (s.cpu()-before).Seconds()*gib/float64(i.Layer.Size))
	p.seconds = append(p.seconds, took.Seconds())
	p.firstByte = append(p.firstByte, float64(first.Microseconds())/1e3)
}

func benchmarkPull(b *testing.B, name string, rate int64, count int) {
	measure(b, func() {
		warm := newImage(1, mib)
		var images []image
		for i := range count {
			images = append(images, newImage(uint64(2000+i), pullSize))
		}
		origin := startHelper(b, "upstream", upstreamSpec{Images: append(images, warm), Rate: rate})
		mirror := startMirror(b, "--upstream=docker.io=http://"+origin.addr)
		registry := startRegistry(b, origin.addr)
		var straight, ours, v3 pulls
		for _, s := range []*server{origin, mirror, registry} {
			new(pulls).add(b, s, warm)
		}
		for _, i := range images {
			straight.add(b, origin, i)
			ours.add(b, mirror, i)
			v3.add(b, registry, i)
			if n := transfers(b, origin, i); n != 3 {
				b.Errorf("the upstream got %d requests for three clients", n)
			}
		}
		toUpstream, toV3 := atMost(2.3), atMost(0.5)
		if rate > 0 {
			toUpstream, toV3 = atMost(1.01), aim{}
		}
		r := against(ours.seconds, straight.seconds).row(name, "s", "straight", toUpstream)
		r.memory = mirror.memory()
		r.note = fmt.Sprintf("distribution takes %.2f times the time", median(against(v3.seconds, straight.seconds).ratios))
		r.add(b)
		r = against(ours.seconds, v3.seconds).row(name, "s", "distribution", toV3)
		r.note = fmt.Sprintf("distribution %s anonymous", mebibytes(registry.memory().anonymous))
		r.list()
		r = against(ours.cpu, v3.cpu).row("  its cpu for 1 GiB", "s", "distribution", aim{limit: 1.5, atMost: true, absolute: true})
		r.list()
		r = against(ours.firstByte, straight.firstByte).row("  its first byte", "ms", "straight", aim{})
		r.note = fmt.Sprintf("distribution %s ms", number(median(v3.firstByte)))
		r.list()

		c, err := dial(mirror.addr) // what was pulled through is stored
		check(b, err)
		defer c.Close()
		_, err = c.fetch(images[0].layerPath(), images[0].Layer, make([]byte, 256<<10))
		check(b, err)
		if n := transfers(b, origin, images[0]); n != 3 {
			b.Errorf("a stored blob was requested again")
		}
	})
}

// pull returns how long it took to pull an image over a new connection, and to get from the request for the layer to its
// first byte.
func pull(addr string, i image) (took, firstByte time.Duration, err error) {
	buf := make([]byte, 256<<10)
	began := time.Now()
	c, err := dial(addr)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	if err := pullManifest(c, i); err != nil {
		return 0, 0, err
	}
	asked := time.Now()
	first, err := c.fetch(i.layerPath(), i.Layer, buf)
	return time.Since(began), first.Sub(asked), err
}

func pullManifest(c *conn, i image) error {
	_, manifest, err := c.do(http.StatusOK, http.MethodGet, i.manifestPath(), "Accept: "+manifestType+"\r\n", nil, nil)
	if err == nil && !bytes.Equal(manifest, i.manifest()) {
		err = fmt.Errorf("%s: wrong bytes", i.manifestPath())
	}
	return err
}
