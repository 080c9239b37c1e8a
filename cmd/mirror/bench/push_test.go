//go:build bench

package bench_test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

const (
	pushSize   = 512 * mib
	pushRounds = 5
)

// BenchmarkPush pushes one large blob. No registry can be faster than the reference unless it does two things at once.
func BenchmarkPush(b *testing.B) {
	measure(b, func() {
		layers := make([]stream, pushRounds+1)
		digests := make([]string, pushRounds+1)
		for i := range layers {
			layers[i] = stream{uint64(1000 + i), pushSize}
			digests[i] = layers[i].digest()
		}
		mirror := startMirror(b, "--offline")
		disk := startHelper(b, "disk", diskSpec{Dir: b.TempDir()})
		registry := startRegistry(b, "")

		push := func(s *server) func(int) float64 {
			return func(round int) float64 {
				c, err := dial(s.addr)
				check(b, err)
				defer c.Close()
				began := time.Now()
				check(b, pushLarge(c, layers[round], digests[round]))
				return pushSize / 1e6 / time.Since(began).Seconds()
			}
		}
		loop := func(round int) float64 {
			c, err := dial(disk.addr)
			check(b, err)
			defer c.Close()
			target := fmt.Sprintf("/?seed=%d&size=%d&digest=%s", layers[round].Seed, layers[round].Size, digests[round])
			_, body, err := c.do(http.StatusOK, http.MethodGet, target, "", nil, nil)
			check(b, err)
			took, err := strconv.ParseInt(string(body), 10, 64)
			check(b, err)
			return pushSize / 1e6 / time.Duration(took).Seconds()
		}
		var v3 []float64
		p := alternate(pushRounds, push(mirror), func(round int) float64 {
			if round < 3 { // to know, not to compare
				v3 = append(v3, push(registry)(round))
			}
			return loop(round)
		})
		r := p.row("push of 512 MiB", "MB/s", "sha256+write+fsync", atLeast(0.9))
		r.memory = mirror.memory()
		r.note = fmt.Sprintf("distribution %s MB/s, %s anonymous", number(median(v3)), mebibytes(registry.memory().anonymous))
		r.add(b)

		c, err := dial(mirror.addr) // what was pushed is what comes back
		check(b, err)
		defer c.Close()
		_, err = c.fetch("/v2/library/large/blobs/"+digests[0], layers[0], make([]byte, 256<<10))
		check(b, err)
	})
}

// writeChunk sends data as one chunk of a body, in one system call; no data ends the body.
func (c *conn) writeChunk(data []byte) error {
	parts := net.Buffers{fmt.Appendf(nil, "%x\r\n", len(data)), data, []byte("\r\n")}
	_, err := parts.WriteTo(c.Conn)
	return err
}
