//go:build bench

package bench_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	carryLayers = 4
	carryLayer  = 5 * gib
	carryMemory = 64 * mib
)

// BenchmarkCarry carries 20 GiB from one mirror into another, by a pipe between the two commands. What is carried is
// zeros, which take no room where they come from; where they come to they do.
func BenchmarkCarry(b *testing.B) {
	notQuick(b)
	measure(b, func() {
		needSpace(b, b.TempDir(), carryLayers*carryLayer+4*gib)
		staging, inside := startMirror(b, "--offline"), startMirror(b, "--offline")
		var exported, synced memory
		new(commands).run(b, staging, mirrorBin, "sync", "--data", staging.data, "--registry-root", zerosRegistry(b))
		took := piped(b,
			watched{exec.Command(mirrorBin, "export", "--data", staging.data, "--bundle", "-", "--all"), &exported},
			watched{exec.Command(mirrorBin, "sync", "--data", inside.data, "--bundle", "-"), &synced})
		speed := float64(carryLayers*carryLayer) / 1e6 / took.Seconds()
		for name, m := range map[string]memory{
			"mirror export": exported, "mirror sync": synced, "its mirror": staging.memory(), "the other mirror": inside.memory(),
		} {
			if m.anonymous == 0 || m.anonymous > carryMemory {
				b.Errorf("%s had %s of memory", name, mebibytes(m.anonymous))
			}
		}
		r := row{name: "20 GiB from mirror to mirror", ours: speed, unit: "MB/s", memory: inside.memory()}
		r.note = fmt.Sprintf("anonymous: staging %s, export %s, sync %s", mebibytes(staging.memory().anonymous), mebibytes(exported.anonymous), mebibytes(synced.anonymous))
		r.add(b)
	})
}

func needSpace(b *testing.B, dir string, size uint64) {
	b.Helper()
	var stat syscall.Statfs_t
	check(b, syscall.Statfs(dir, &stat))
	if free := stat.Bavail * uint64(stat.Bsize); free < size {
		b.Skipf("needs %d GiB on the disk, and there are %d", size/gib, free/gib)
	}
}

// watched is a command, and where to put how much memory it had.
type watched struct {
	*exec.Cmd
	peak *memory
}

// piped has one command write into another.
func piped(b *testing.B, from, to watched) time.Duration {
	b.Helper()
	r, w, err := os.Pipe()
	check(b, err)
	from.Stdout, to.Stdin = w, r
	began := time.Now()
	var running []*server
	for _, c := range []watched{from, to} {
		check(b, c.Start())
		s := &server{cmd: c.Cmd, done: make(chan struct{})}
		go s.watch()
		running = append(running, s)
	}
	w.Close()
	r.Close()
	for i, c := range []watched{from, to} {
		check(b, c.Wait())
		close(running[i].done)
		*c.peak = running[i].memory()
	}
	return time.Since(began)
}

// zerosRegistry makes a folder as distribution has it, with one image whose layers are zeros: each one byte longer than
// the one before.
func zerosRegistry(b *testing.B) (root string) {
	b.Helper()
	root = b.TempDir()
	v2 := filepath.Join(root, "docker/registry/v2")
	write := func(path string, content []byte, size int64) {
		check(b, os.MkdirAll(filepath.Dir(path), 0o755))
		check(b, os.WriteFile(path, content, 0o600))
		check(b, os.Truncate(path, size))
	}
	blob := func(digest string, content []byte, size int64) {
		digest = strings.TrimPrefix(digest, "sha256:")
		write(filepath.Join(v2, "blobs/sha256", digest[:2], digest, "data"), content, size)
	}
	link := func(digest string, places ...string) {
		for _, place := range places {
			place = strings.ReplaceAll(place, "HEX", strings.TrimPrefix(digest, "sha256:"))
			write(filepath.Join(v2, "repositories/zeros", place, "link"), []byte(digest), int64(len(digest)))
		}
	}
	h := sha256.New()
	zeros := make([]byte, mib)
	for range carryLayer / len(zeros) {
		h.Write(zeros)
	}
	var descriptors []string
	for n := range int64(carryLayers) {
		digest := digestOf(h)
		h.Write(zeros[:1])
		blob(digest, nil, carryLayer+n)
		link(digest, "_layers/sha256/HEX")
		descriptors = append(descriptors, descriptor(layerType, digest, int(carryLayer+n)))
	}
	config := image{}.config()
	manifest := manifestOf(digestOfBytes(config), len(config), descriptors...)
	for _, content := range [][]byte{config, manifest} {
		blob(digestOfBytes(content), content, int64(len(content)))
	}
	link(digestOfBytes(config), "_layers/sha256/HEX")
	link(digestOfBytes(manifest), "_manifests/revisions/sha256/HEX", "_manifests/tags/v1/current", "_manifests/tags/v1/index/sha256/HEX")
	return root
}
