//go:build bench

package bench_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"airmirror/cache/cachetest/generate"
)

const (
	growImages = 200_000
	growQuick  = 10_000
	growRepos  = 4 // so that each has many tags
	growRounds = 3
)

// BenchmarkGrow starts a server with 200,000 images, and runs the commands that read the index beside it. No registry has
// such commands, so the aims are absolute.
func BenchmarkGrow(b *testing.B) {
	measure(b, func() {
		g := newGrowth(b)
		g.row("index for one image", "B", 1200, float64(fileSize(b, filepath.Join(g.data, "index.db")))/float64(g.Images)).add(b)
		g.start("  start, page cache warm", 0.3, func() {})
		g.start("  start, index not in the page cache", 3, func() { dropCache(b, filepath.Join(g.data, "index.db")) })

		g.mirror = startMirrorOn(b, g.data, "--offline")
		g.command("  ls of all", 5, func(int) []string { return []string{"ls"} })
		g.command("  ls of one tag", 0.05, func(round int) []string { return []string{"ls", g.name(round)} })
		g.command("  rm of one tag", 0.2, func(round int) []string { return []string{"rm", g.name(round)} })
		g.command("  verify --fast", 8, func(int) []string { return []string{"verify", "--fast"} })
		g.command("  gc --dry-run", 3, func(int) []string { return []string{"gc", "--dry-run"} })
		g.command("  gc", 5, func(int) []string { return []string{"gc"} })
	})
}

// growth is a store of many images.
type growth struct {
	generate.Options
	b      *testing.B
	data   string
	mirror *server
}

func newGrowth(b *testing.B) *growth {
	b.Helper()
	g := &growth{generate.Options{Images: growImages, Repos: growRepos}, b, filepath.Join(b.TempDir(), "data"), nil}
	if quick {
		g.Images = growQuick
	}
	check(b, generate.Store(b.Context(), g.data, g.Options))
	syncDisk()
	return g
}

// name returns the name of an image, another one for each n.
func (g *growth) name(n int) string {
	image := g.Image(g.Images/2 + n)
	return fmt.Sprintf("%s:%s", image.Repo, image.Tag)
}

// row begins a row. The limit is for a complete run.
func (g *growth) row(name, unit string, limit, value float64) row {
	if name[0] != ' ' {
		name = fmt.Sprintf("%s, of %d", name, g.Images)
	}
	r := row{name: name, unit: unit, ours: value}
	if g.Images == growImages {
		r.aim = aim{limit: limit, atMost: true, absolute: true}
	}
	return r
}

// start measures the time to the first answer.
func (g *growth) start(name string, limit float64, prepare func()) {
	var seconds []float64
	for range rounds(growRounds) {
		prepare()
		s := newServer(g.b)
		s.data = g.data
		s.startMirror(g.b, "--offline")
		seconds = append(seconds, s.answered(g.b).Seconds())
		s.stop()
	}
	g.row(name, "s", limit, median(seconds)).list()
}

// command measures a command that asks the server.
func (g *growth) command(name string, limit float64, args func(round int) []string) {
	var all commands
	var seconds, cpu []float64
	for round := range rounds(growRounds) {
		argv := args(round)
		argv = append([]string{mirrorBin, argv[0], "--data", g.data}, argv[1:]...)
		seconds = append(seconds, all.run(g.b, g.mirror, argv...).Seconds())
		cpu = append(cpu, all.cpu[round].Seconds())
	}
	r := g.row(name, "s", limit, median(seconds))
	r.note = fmt.Sprintf("cpu %s s; the command %s anonymous", number(median(cpu)), mebibytes(all.anonymous))
	r.memory = g.mirror.memory()
	r.list()
}

// dropCache takes a file out of the page cache.
func dropCache(b *testing.B, path string) {
	b.Helper()
	file, err := os.Open(path)
	check(b, err)
	defer file.Close()
	check(b, file.Sync())
	check(b, unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED))
}

func fileSize(b *testing.B, path string) int64 {
	b.Helper()
	info, err := os.Stat(path)
	check(b, err)
	return info.Size()
}
