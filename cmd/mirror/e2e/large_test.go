//go:build e2e

package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMemoryStaysFlat carries 2 GiB, which take no room on the disk where they come from, straight from one command to the
// other: the memory that these and the two servers allocate does not grow with it. The benchmarks do the same with 20 GiB.
func TestMemoryStaysFlat(t *testing.T) {
	const layer, layers, most = 1 << 30, 2, 64 << 20 // bytes
	staging, inside := startMirror(t, "--offline"), startMirror(t, "--offline")
	staging.ask(t, "sync", "--registry-root", sparseRegistry(t, layer, layers))

	export := exec.Command(mirrorBin, "export", "--data", staging.data, "--bundle", "-", "--all")
	sync := exec.Command(mirrorBin, "sync", "--data", inside.data, "--bundle", "-")
	peaks := carryWatched(t, export, sync, staging, inside)
	for name, peak := range peaks {
		t.Logf("%s allocated %d MiB at most", name, peak>>20)
		if peak == 0 || peak > most {
			t.Errorf("%s had %d bytes of memory, want at most %d", name, peak, most)
		}
	}
	var images []listed
	inside.askJSON(t, &images, "ls", "sparse")
	if len(images) != 1 || !images[0].Complete || images[0].Size < layers*layer {
		t.Errorf("the inside mirror holds %+v", images)
	}
}

// sparseRegistry makes a folder as distribution has it, with one image, sparse:1, whose layers are zeros: each one byte
// longer than the one before.
func sparseRegistry(t *testing.T, size int64, layers int) (root string) {
	t.Helper()
	root = tempDir(t)
	v2 := filepath.Join(root, "docker/registry/v2")
	repository := filepath.Join(v2, "repositories/sparse")
	link := func(digest string, places ...string) {
		for _, place := range places {
			writeFile(t, filepath.Join(repository, place), "link", "sha256:"+digest)
		}
	}
	blob := func(digest string, content string, size int64) {
		path := writeFile(t, v2, filepath.Join("blobs/sha256", digest[:2], digest, "data"), content)
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
	var descriptors []string
	for n, digest := range digestsOfZeros(size, layers) {
		bytes := size + int64(n)
		blob(digest, "", bytes)
		link(digest, "_layers/sha256/"+digest)
		descriptors = append(descriptors, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":%d}`, digest, bytes))
	}
	const config = `{"architecture":"amd64","os":"linux"}`
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",`+
		`"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%d},"layers":[%s]}`,
		hexOf(config), len(config), strings.Join(descriptors, ","))
	blob(hexOf(config), config, int64(len(config)))
	blob(hexOf(manifest), manifest, int64(len(manifest)))
	link(hexOf(config), "_layers/sha256/"+hexOf(config))
	link(hexOf(manifest), "_manifests/revisions/sha256/"+hexOf(manifest), "_manifests/tags/1/current", "_manifests/tags/1/index/sha256/"+hexOf(manifest))
	return root
}

func hexOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// digestsOfZeros are the digests of size zeros, of one more, and so on.
func digestsOfZeros(size int64, count int) (digests []string) {
	h := sha256.New()
	zeros := make([]byte, 1<<20)
	for left := size; left > 0; left -= int64(len(zeros)) {
		h.Write(zeros[:min(left, int64(len(zeros)))])
	}
	for range count {
		digests = append(digests, hex.EncodeToString(h.Sum(nil)))
		h.Write(zeros[:1])
	}
	return digests
}

// carryWatched has one command write into the other, and returns the most memory that they and their servers had, in
// bytes.
func carryWatched(t *testing.T, export, sync *exec.Cmd, staging, inside *server) map[string]int64 {
	t.Helper()
	var exported, synced strings.Builder
	bundle, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	export.Env, export.Stderr = environment(t), &exported
	sync.Env, sync.Stdin, sync.Stdout, sync.Stderr = environment(t), bundle, &synced, &synced
	peaks := map[string]func() int64{}
	for _, cmd := range []*exec.Cmd{export, sync} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
	for name, cmd := range map[string]*exec.Cmd{
		"mirror export": export, "mirror sync": sync, "the staging mirror": staging.cmd, "the inside mirror": inside.cmd,
	} {
		peaks[name] = watchMemory(cmd)
	}
	if err := errors.Join(sync.Wait(), export.Wait()); err != nil {
		t.Fatalf("%v\n%s%s", err, &exported, &synced)
	}
	most := map[string]int64{}
	for name, peak := range peaks {
		most[name] = peak()
	}
	return most
}

// watchMemory looks at a process until the result is called, which says how much memory it had at most, in bytes: what it
// allocated, and not what it mapped of files, which the system takes back at will.
func watchMemory(cmd *exec.Cmd) (peak func() int64) {
	halt, most := make(chan struct{}), make(chan int64, 1)
	go func() {
		var highest int64
		ticker := time.NewTicker(pollPeriod)
		defer ticker.Stop()
		for {
			highest = max(highest, anonymous(cmd.Process.Pid))
			select {
			case <-halt:
				most <- highest
				return
			case <-ticker.C:
			}
		}
	}()
	return func() int64 {
		close(halt)
		return <-most
	}
}

// anonymous is how much memory of a process is its own, in bytes, see proc_pid_status(5); 0 if it has ended.
func anonymous(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "RssAnon:" {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}
