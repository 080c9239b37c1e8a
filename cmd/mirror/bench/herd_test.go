//go:build bench

package bench_test

import (
	"fmt"
	"slices"
	"testing"
)

const (
	herdSize    = 256 * mib
	herdClients = 32
	herdRounds  = 2
)

// BenchmarkHerd has many clients ask at once for a blob that only the upstream has.
func BenchmarkHerd(b *testing.B) {
	measure(b, func() {
		var images []image
		for i := range herdRounds + 1 {
			size := int64(herdSize)
			if i == 0 { // the round that does not count
				size = mib
			}
			images = append(images, newImage(uint64(3000+i), size))
		}
		// Each has an upstream of its own, so that its requests can be counted.
		var origins, servers [2]*server
		for i := range origins {
			origins[i] = startHelper(b, "upstream", upstreamSpec{Images: images})
		}
		servers[0] = startMirror(b, "--upstream=docker.io=http://"+origins[0].addr)
		servers[1] = startRegistry(b, origins[1].addr)

		var asked [2][]float64
		herd := func(which int) func(int) float64 {
			return func(round int) float64 {
				i := images[round]
				together(b, 1, servers[which].addr, func(_ int, c *conn) error { return pullManifest(c, i) })
				took := together(b, herdClients, servers[which].addr, func(_ int, c *conn) error {
					_, err := c.fetch(i.layerPath(), i.Layer, make([]byte, 256<<10))
					return err
				})
				if round > 0 {
					asked[which] = append(asked[which], float64(transfers(b, origins[which], i)))
				}
				return took.Seconds()
			}
		}
		p := alternate(herdRounds, herd(0), herd(1))
		name := fmt.Sprintf("herd of %d on a cold blob of 256 MiB", herdClients)
		r := p.row(name, "s", "distribution", aim{})
		r.memory = servers[0].memory()
		r.note = fmt.Sprintf("distribution %s anonymous", mebibytes(servers[1].memory().anonymous))
		r.add(b)
		row{
			name: "  its requests upstream", unit: "GETs", against: "distribution", aim: aim{limit: 1, atMost: true, absolute: true},
			ours: slices.Max(asked[0]), reference: median(asked[1]),
		}.list()
	})
}
