package server

import (
	"math"
	"testing"
)

// TestDescriptorsAreDivided checks that requests, connections and the reserve fit into the limit of open files.
func TestDescriptorsAreDivided(t *testing.T) {
	for _, limit := range []int{16, 64, 256, 1024, 4096, 65536, 1 << 20, math.MaxInt32} {
		d := divideDescriptors(limit)
		files := (perRequest - 1) * d.requests
		if left := limit - d.conns - files; d.requests < 1 || d.idle < 1 || left < min(maxReserved, limit/4)/2 {
			t.Errorf("of %d files, %d connections and %d files of requests leave %d", limit, d.conns, files, left)
		}
		if most := limit / 6; d.requests < most {
			t.Errorf("%d files allow only %d requests", limit, d.requests)
		}
	}
	d := divideDescriptors(256)
	for configured, want := range map[int]int{0: d.requests, 10: 10, 8192: d.requests} {
		if n := d.limitRequests(configured); n != want {
			t.Errorf("%d requests are configured, and the limit is %d, want %d", configured, n, want)
		}
	}
	if n := divideDescriptors(1 << 20).limitRequests(8192); n != 8192 {
		t.Errorf("a million files allow %d requests of 8192", n)
	}
}
