//go:build bench

package bench_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	startRounds = 9
	idleAfter   = 2 * time.Second
)

// BenchmarkStart starts a server with 5,000 images, until it answers the first request.
func BenchmarkStart(b *testing.B) {
	measure(b, func() {
		root, stored := collectStores(b)
		data := filepath.Join(b.TempDir(), "data")
		copyStore(b, stored, data)
		var idle [2]float64
		start := func(which int, of string, begin func(*server)) func(int) float64 {
			return func(round int) float64 {
				s := newServer(b)
				s.data = of
				begin(s)
				defer s.stop()
				took := s.answered(b)
				if round == 0 {
					time.Sleep(idleAfter)
					idle[which] = float64(s.residentWithout(b, "index.db"))
				}
				return float64(took.Microseconds()) / 1e3
			}
		}
		ours := start(0, data, func(s *server) { s.startMirror(b, "--offline") })
		distribution := start(1, root, func(s *server) { s.startRegistry(b, "") })
		alternate(startRounds, ours, distribution).
			row("start with 5,000 images, to the first answer", "ms", "distribution", aim{limit: 15, atMost: true, absolute: true}).add(b)
		memory := row{name: "  memory when idle, without the map of the index", unit: "MiB", against: "distribution"}
		memory.ours, memory.reference = idle[0]/mib, idle[1]/mib
		memory.ratios, memory.aim = []float64{idle[0] / idle[1]}, aim{limit: 16, atMost: true, absolute: true}
		memory.list()
	})
}

// answered returns the time from the start of the process to the first answer with status 200.
func (s *server) answered(b *testing.B) time.Duration {
	b.Helper()
	for range 100_000 {
		if c, err := dial(s.addr); err == nil {
			_, _, err = c.do(http.StatusOK, http.MethodGet, "/v2/", "", nil, nil)
			c.Close()
			if err == nil {
				return time.Since(s.born)
			}
		}
		select {
		case <-s.done:
			log, _ := os.ReadFile(s.log)
			b.Fatalf("%s ended:\n%s", s.cmd.Path, log)
		case <-time.After(100 * time.Microsecond):
		}
	}
	b.Fatalf("%s does not answer on %s", s.cmd.Path, s.addr)
	return 0
}

// residentWithout returns the resident memory of a process, without the mappings of files of a name.
func (s *server) residentWithout(b *testing.B, name string) (size int64) {
	b.Helper()
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps", s.cmd.Process.Pid))
	check(b, err)
	defer file.Close()
	skip := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case !strings.HasSuffix(fields[0], ":"): // the head of a mapping
			skip = filepath.Base(fields[len(fields)-1]) == name
		case fields[0] == "Rss:" && !skip:
			n, err := strconv.ParseInt(fields[1], 10, 64)
			check(b, err)
			size += n << 10
		}
	}
	return size
}
