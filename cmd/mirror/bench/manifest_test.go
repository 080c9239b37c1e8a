//go:build bench

package bench_test

import (
	"bytes"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

const (
	manifestConns  = 8
	manifestRounds = 13
	manifestRound  = time.Second / 2
)

// BenchmarkManifest gets one manifest again and again over connections that are kept alive.
func BenchmarkManifest(b *testing.B) {
	b.Run("tag", func(b *testing.B) {
		benchmarkManifest(b, "manifest by tag", func(tag, _ string) string { return tag })
	})
	b.Run("digest", func(b *testing.B) {
		benchmarkManifest(b, "manifest by digest", func(_, digest string) string { return digest })
	})
}

func benchmarkManifest(b *testing.B, name string, choose func(tag, digest string) string) {
	measure(b, func() {
		mirror := startMirror(b, "--offline")
		c, err := dial(mirror.addr)
		check(b, err)
		defer c.Close()
		small := newSmallImage(1, 6) // layers, as an ordinary image has
		check(b, small.push(c, "library/image", "latest", dockerWay))
		path := "/v2/library/image/manifests/" + choose("latest", digestOfBytes(small.manifest))
		header := answerHeader(b, "http://"+mirror.addr+path)
		bare := startHelper(b, "bytes", bytesSpec{Header: header, Body: small.manifest})

		var cost [2]atomic.Int64 // processor time of each server, in nanoseconds, and below how many requests it served
		var served [2]atomic.Int64
		requests := func(which int, s *server) func(int) float64 {
			return func(int) float64 {
				cpu := s.cpu()
				perSecond, n := requestAgain(b, s.addr, http.MethodGet, path, small.manifest)
				cost[which].Add(int64(s.cpu() - cpu))
				served[which].Add(n)
				return perSecond
			}
		}
		r := alternate(manifestRounds, requests(0, mirror), requests(1, bare)).row(name, "req/s", "bare handler", atLeast(0.85))
		each := func(which int) float64 { return float64(cost[which].Load()) / float64(served[which].Load()) / 1e3 }
		r.note = fmt.Sprintf("%d B; cpu %.1f µs a request, bare %.1f", len(small.manifest), each(0), each(1))
		r.memory = mirror.memory()
		r.add(b)
	})
}

// BenchmarkManifestHead sends HEAD for a tag, as docker and containerd do first, against GET of the same tag.
func BenchmarkManifestHead(b *testing.B) {
	measure(b, func() {
		mirror := startMirror(b, "--offline")
		c, err := dial(mirror.addr)
		check(b, err)
		defer c.Close()
		small := newSmallImage(1, 6)
		check(b, small.push(c, "library/image", "latest", dockerWay))
		path := "/v2/library/image/manifests/latest"

		var cost [2]time.Duration
		var served [2]int64
		requests := func(which int, method string) func(int) float64 {
			return func(int) float64 {
				cpu := mirror.cpu()
				perSecond, n := requestAgain(b, mirror.addr, method, path, small.manifest)
				cost[which] += mirror.cpu() - cpu
				served[which] += n
				return perSecond
			}
		}
		r := alternate(manifestRounds, requests(0, http.MethodHead), requests(1, http.MethodGet)).row("manifest HEAD by tag", "req/s", "GET", atLeast(1))
		each := func(which int) float64 { return float64(cost[which]) / float64(served[which]) / 1e3 }
		r.note = fmt.Sprintf("cpu %.1f µs a request, GET %.1f", each(0), each(1))
		r.memory = mirror.memory()
		r.add(b)
	})
}

// requestAgain returns how many requests a second were answered, and how many in all.
func requestAgain(b *testing.B, addr, method, path string, want []byte) (perSecond float64, n int64) {
	var total atomic.Int64
	size := len(want)
	if method == http.MethodHead {
		want = nil
	}
	end := time.Now().Add(manifestRound)
	took := together(b, manifestConns, addr, func(_ int, c *conn) error {
		buf := make([]byte, size)
		var n int64
		defer func() { total.Add(n) }()
		for ; time.Now().Before(end); n++ {
			_, body, err := c.do(http.StatusOK, method, path, "Accept: "+manifestType+"\r\n", nil, buf)
			if err != nil {
				return err
			}
			if !bytes.Equal(body, want) {
				return fmt.Errorf("%s %s: wrong bytes", method, path)
			}
		}
		return nil
	})
	return float64(total.Load()) / took.Seconds(), total.Load()
}

// answerHeader returns the header of an answer, for a reference to answer with the same.
func answerHeader(b *testing.B, url string) http.Header {
	b.Helper()
	response, err := http.Head(url)
	check(b, err)
	response.Body.Close()
	response.Header.Del("Date")
	return response.Header
}
