//go:build bench

package bench_test

import (
	"bytes"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"
)

const pullSize = 256 * mib

// BenchmarkPull pulls images that only the upstream has: the manifest by its tag, then the layer.
func BenchmarkPull(b *testing.B) {
	b.Run("50MBps", func(b *testing.B) { benchmarkPull(b, "cold pull of 256 MiB, 50 MB/s", 50e6, 2) })
	b.Run("unlimited", func(b *testing.B) { benchmarkPull(b, "cold pull of 256 MiB, unlimited", 0, 5) })
}

// pulls is one way to the upstream, in seconds and milliseconds for each round.
type pulls struct{ seconds, firstByte []float64 }

func (p *pulls) add(b *testing.B, addr string, i image) {
	syscall.Sync() // what the last one left for the disk
	took, first, err := pull(addr, i)
	check(b, err)
	p.seconds = append(p.seconds, took.Seconds())
	p.firstByte = append(p.firstByte, float64(first.Microseconds())/1e3)
}

func benchmarkPull(b *testing.B, name string, rate int64, rounds int) {
	measure(b, func() {
		warm := newImage(1, mib)
		var images []image
		for i := range rounds {
			images = append(images, newImage(uint64(2000+i), pullSize))
		}
		origin := startHelper(b, "upstream", upstreamSpec{Images: append(images, warm), Rate: rate})
		mirror := startMirror(b, "--upstream=docker.io=http://"+origin.addr)
		registry := startRegistry(b, origin.addr)
		var straight, ours, v3 pulls
		for _, s := range []*server{origin, mirror, registry} {
			new(pulls).add(b, s.addr, warm)
		}
		for _, i := range images {
			straight.add(b, origin.addr, i)
			ours.add(b, mirror.addr, i)
			v3.add(b, registry.addr, i)
			if n := transfers(b, origin, i); n != 3 {
				b.Errorf("the upstream was asked %d times by three clients", n)
			}
		}
		against := func(ours, reference []float64) (p pair) {
			p = pair{ours: ours, reference: reference}
			for i := range ours {
				p.ratios = append(p.ratios, ours[i]/reference[i])
			}
			return p
		}
		var toUpstream, toV3 aim
		if rate > 0 {
			toUpstream = atMost(1.01)
		} else {
			toV3 = atMost(0.5)
		}
		r := against(ours.seconds, straight.seconds).row(name, "s", "straight", toUpstream)
		r.memory = mirror.memory()
		r.note = fmt.Sprintf("distribution takes %.2f times the time", median(against(v3.seconds, straight.seconds).ratios))
		r.add(b)
		r = against(ours.seconds, v3.seconds).row(name, "s", "distribution", toV3)
		r.note = fmt.Sprintf("distribution %s anonymous", mebibytes(registry.memory().anonymous))
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
