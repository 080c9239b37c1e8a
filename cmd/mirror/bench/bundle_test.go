//go:build bench

package bench_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

const (
	bundleLayers = 4
	bundleLayer  = 256 * mib
	bundleRounds = 5
)

// BenchmarkBundle exports everything that is stored, and imports it into an empty mirror. The commands are run as people
// run them, beside a server.
func BenchmarkBundle(b *testing.B) {
	measure(b, func() {
		dir := b.TempDir()
		file := filepath.Join(dir, "plant.tar")
		staging := startMirror(b, "--offline")
		layers := holdImage(b, staging, bundleLayers, bundleLayer)
		var commands commands
		export := func(int) float64 {
			took := commands.run(b, staging, mirrorBin, "export", "--data", staging.data, "--bundle", file, "--all", "--overwrite")
			return bundleSpeed(took)
		}
		export(0)
		reference := startHelper(b, "copy", copySpec{From: file, To: filepath.Join(dir, "copy")})
		hash := startHelper(b, "copy", copySpec{From: file})
		var cp []float64
		var loops []time.Duration
		loop := func(round int) float64 {
			cpu := reference.cpu()
			defer func() { loops = append(loops, reference.cpu()-cpu) }()
			if round < 3 { // to know, not to compare
				cp = append(cp, bundleSpeed(copyWith(b, file, filepath.Join(dir, "cp"))))
				syncDisk()
			}
			return bundleSpeed(elapsed(b, reference))
		}

		exports := alternate(bundleRounds, export, loop)
		r := exports.row("export of 1 GiB", "MB/s", "read+sha256+write+fsync", atLeast(0.8))
		r.memory = staging.memory()
		r.note = commands.note(cp, loops)
		r.add(b)
		verifiedExport(b, staging, hash).list()

		cp, loops = nil, nil
		commands.memory, commands.cpu = memory{}, nil
		var inside *server
		imports := func(int) float64 {
			if inside != nil {
				inside.stop()
				check(b, os.RemoveAll(inside.data))
			}
			inside = startMirror(b, "--offline")
			return bundleSpeed(commands.run(b, inside, mirrorBin, "sync", "--data", inside.data, "--bundle", file))
		}
		r = alternate(bundleRounds, imports, loop).row("import of 1 GiB", "MB/s", "read+sha256+write+fsync", atLeast(0.5))
		r.memory = inside.memory()
		r.note = commands.note(cp, loops)
		r.add(b)

		c, err := dial(inside.addr) // what was carried is what comes back
		check(b, err)
		defer c.Close()
		for _, layer := range layers {
			_, err = c.fetch("/v2/library/large/blobs/"+layer.Digest, layer.Layer, make([]byte, 256<<10))
			check(b, err)
		}
	})
}

// verifiedExport measures an export that verifies its content, against the helper that only hashes as many bytes. A server
// knows that what it wrote is right; so each round begins with another one. Nothing is written to the disk.
func verifiedExport(b *testing.B, staging *server, hash *server) row {
	var commands commands
	export := func(int) float64 {
		staging.stop()
		staging = startMirrorOn(b, staging.data, "--offline")
		return bundleSpeed(commands.run(b, staging, mirrorBin, "export", "--data", staging.data, "--bundle", "-", "--all"))
	}
	r := alternate(bundleRounds, export, func(int) float64 { return bundleSpeed(elapsed(b, hash)) }).row("  verified, to a pipe", "MB/s", "sha256", atLeast(0.9))
	r.memory = staging.memory()
	r.note = fmt.Sprintf("cpu %s s", number(median(secondsOf(commands.cpu))))
	return r
}

func bundleSpeed(took time.Duration) float64 {
	return bundleLayers * bundleLayer / 1e6 / took.Seconds()
}

// holdImage pushes an image of several layers.
func holdImage(b *testing.B, s *server, layers int, size int64) (pushed []image) {
	b.Helper()
	c, err := dial(s.addr)
	check(b, err)
	defer c.Close()
	var descriptors []string
	for n := range layers {
		i := newImage(uint64(3000+n), size)
		check(b, pushLarge(c, i.Layer, i.Digest))
		pushed = append(pushed, i)
		descriptors = append(descriptors, descriptor(layerType, i.Digest, int(size)))
	}
	config := pushed[0].config()
	check(b, pushSmall(c, "library/large", config, digestOfBytes(config), containerdWay))
	manifest := manifestOf(digestOfBytes(config), len(config), descriptors...)
	_, _, err = c.do(http.StatusCreated, http.MethodPut, "/v2/library/large/manifests/v1", "Content-Type: "+manifestType+"\r\n", manifest, nil)
	check(b, err)
	return pushed
}

// commands are what was run of one command.
type commands struct {
	memory                 // of the greediest one
	cpu    []time.Duration // of each, its server's included
}

// run runs a command to its end, and returns how long that took. The server that it asks may be nil.
func (c *commands) run(b *testing.B, of *server, argv ...string) time.Duration {
	b.Helper()
	before := of.cpu()
	s := &server{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	began := time.Now()
	check(b, s.cmd.Start())
	go s.watch()
	err := s.cmd.Wait()
	took := time.Since(began)
	close(s.done)
	if err != nil {
		b.Fatalf("%v: %v", argv, err)
	}
	peak := s.memory()
	c.resident, c.anonymous = max(c.resident, peak.resident), max(c.anonymous, peak.anonymous)
	c.cpu = append(c.cpu, of.cpu()-before+s.cmd.ProcessState.UserTime()+s.cmd.ProcessState.SystemTime())
	return took
}

// note says what a row has no column for. loops is what the reference had of the processor: that a loop has one core,
// and a command beside a server two, shows in the ratio.
func (c *commands) note(cp []float64, loops []time.Duration) string {
	seconds := func(list []time.Duration) float64 { return median(secondsOf(list)) }
	return fmt.Sprintf("cp and fsync %s MB/s; cpu %s s, the reference %s s; the command %s anonymous",
		number(median(cp)), number(seconds(c.cpu)), number(seconds(loops)), mebibytes(c.anonymous))
}

func secondsOf(list []time.Duration) (all []float64) {
	for _, took := range list {
		all = append(all, took.Seconds())
	}
	return all
}

// copyWith copies by the system's cp, and syncs the copy.
func copyWith(b *testing.B, from, to string) time.Duration {
	b.Helper()
	began := time.Now()
	check(b, exec.Command("cp", from, to).Run())
	file, err := os.Open(to)
	check(b, err)
	check(b, file.Sync())
	took := time.Since(began)
	check(b, file.Close())
	check(b, os.Remove(to))
	return took
}

// elapsed has a helper do its work once, and returns how long it says that this took.
func elapsed(b *testing.B, s *server) time.Duration {
	b.Helper()
	c, err := dial(s.addr)
	check(b, err)
	defer c.Close()
	_, body, err := c.do(http.StatusOK, http.MethodGet, "/", "", nil, nil)
	check(b, err)
	took, err := strconv.ParseInt(string(body), 10, 64)
	check(b, err)
	return time.Duration(took)
}
