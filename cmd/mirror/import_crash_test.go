package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// moment is a point of an import at which it is killed.
type moment struct {
	sent    float64 // this part of the bundle has been read, of 1
	commits uint64  // with all of it: so many transactions of the index after the last blob got its name
}

// moments cover the whole import: document, manifests, blobs, and the transactions that add them and move tags.
var moments = []moment{
	{sent: 0.001}, {sent: 0.15}, {sent: 0.3}, {sent: 0.5}, {sent: 0.7}, {sent: 0.9}, {sent: 0.999},
	{sent: 1}, {sent: 1, commits: 1}, {sent: 1, commits: 2}, {sent: 1, commits: 3},
}

func (m moment) String() string { return fmt.Sprintf("%v and %d transactions", m.sent, m.commits) }

// carried is a bundle, its images, and the data folder that it was exported from.
type carried struct {
	file, dir string
	images    map[string]v1.Image // by reference; those of one repository
}

const carriedRepo = "team/app"

// makeCarried exports a bundle of several images that share a layer.
func makeCarried(t *testing.T) carried {
	t.Helper()
	c := carried{file: filepath.Join(t.TempDir(), "plant.tar"), dir: t.TempDir(), images: map[string]v1.Image{}}
	staging := spawn(t, c.dir, "--offline")
	base, err := random.Image(2_000_000, 1)
	must(t, err)
	for n := range 6 {
		layer, err := random.Layer(300_000, "application/vnd.docker.image.rootfs.diff.tar.gzip")
		must(t, err)
		img, err := mutate.AppendLayers(base, layer)
		must(t, err)
		ref := fmt.Sprintf("%s:v%d", carriedRepo, n)
		push(t, staging.url, ref, img)
		c.images[ref] = img
	}
	out, err := exec.Command("mirror", "export", "--data", c.dir, "--bundle", c.file, "--all").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	staging.kill()
	return c
}

// TestImportSurvivesKillAtAnyPoint kills the importing process: the server, or the command that opened the folder itself. All
// tags appear at once, stored content is complete, and repeating the command stores each blob once.
func TestImportSurvivesKillAtAnyPoint(t *testing.T) {
	c := makeCarried(t)
	for name, serving := range map[string]bool{"server": true, "folder": false} {
		for _, m := range moments {
			t.Run(fmt.Sprintf("%s, %v", name, m), func(t *testing.T) {
				dir := t.TempDir()
				c.killedAt(t, dir, m, serving)

				p := spawn(t, dir, "--offline")
				if n := tags(p.url); n != 0 && (n != len(c.images) || m.sent < 1) {
					t.Errorf("%d of %d tags are there", n, len(c.images))
				}
				checkWhole(t, p.url)
				if !serving {
					p.kill()
				}
				cmd := c.command(dir)
				cmd.Stdin = open(t, c.file)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("the same command again: %v\n%s", err, out)
				}
				p.kill()

				p = spawn(t, dir, "--offline")
				for ref, want := range c.images {
					got, err := remote.Image(reference(t, p.url, ref))
					must(t, err)
					same(t, got, want)
				}
				if got, want := blobsIn(t, dir), blobsIn(t, c.dir); !maps.Equal(got, want) {
					t.Errorf("there are blobs %v, want %v", got, want)
				}
				if left, err := os.ReadDir(filepath.Join(dir, "incoming")); err != nil || len(left) > 0 {
					t.Errorf("left in incoming: %v (%v)", left, err)
				}
			})
		}
	}
}

// command returns a command that imports a bundle from its standard input.
func (c carried) command(dir string, args ...string) *exec.Cmd {
	return exec.Command("mirror", append([]string{"sync", "--data", dir, "--offline", "--bundle", "-"}, args...)...)
}

// killedAt starts an import into dir and kills it.
func (c carried) killedAt(t *testing.T, dir string, m moment, serving bool) {
	t.Helper()
	cmd := c.command(dir, "--json")
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	end := func() { _ = cmd.Process.Kill() }
	var watched *pollTags
	if serving {
		server := spawn(t, dir, "--offline")
		end = server.kill
		watched = watchTags(server.url, len(c.images))
	}
	must(t, cmd.Start())
	begun, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		events := bufio.NewReader(stdout)
		_, _ = events.ReadString('\n')
		close(begun)
		_, _ = io.Copy(io.Discard, events)
		_ = cmd.Wait() // it is killed, or what it asks is
	}()
	size := fileSize(t, c.file)
	_, err = io.CopyN(stdin, open(t, c.file), int64(float64(size)*m.sent))
	must(t, err)
	if m.sent == 1 {
		must(t, stdin.Close())
		c.waitFor(t, dir, m.commits, ended)
	}
	<-begun
	end()
	stdin.Close()
	<-ended
	if m.sent < 1 && cmd.ProcessState.Success() {
		t.Error("an import that was killed is a success")
	}
	if watched != nil {
		watched.stop()
		if n := watched.partly.Load(); n > 0 {
			t.Errorf("at one time there were %d of %d tags", n, len(c.images))
		}
		if m.sent < 1 && watched.all.Load() {
			t.Error("all tags were there before the end")
		}
	}
}

// waitFor waits until all blobs are stored, then for a number of transactions of the index, or until the import ends. It
// polls without pauses, as transactions are short.
func (c carried) waitFor(t *testing.T, dir string, commits uint64, ended <-chan struct{}) {
	t.Helper()
	want := len(blobsIn(t, c.dir))
	deadline := time.Now().Add(20 * time.Second)
	var first uint64
	for all := false; !all || transactions(t, dir) < first+commits; {
		select {
		case <-ended:
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("there are %d of %d blobs, and %d transactions", len(blobsIn(t, dir)), want, transactions(t, dir)-first)
		}
		if !all && len(blobsIn(t, dir)) == want {
			all, first = true, transactions(t, dir)
		}
	}
}

// transactions returns the number of the last transaction of the index in a folder, from the two meta pages of bbolt; 0
// without an index.
func transactions(t *testing.T, dir string) uint64 {
	t.Helper()
	const page, at = 4096, 64
	file, err := os.Open(filepath.Join(dir, "index.db"))
	if err != nil {
		return 0
	}
	defer file.Close()
	var latest uint64
	for n := range int64(2) {
		var number [8]byte
		if _, err := file.ReadAt(number[:], n*page+at); err == nil {
			latest = max(latest, binary.NativeEndian.Uint64(number[:]))
		}
	}
	return latest
}

// pollTags polls the tags of a server.
type pollTags struct {
	partly       atomic.Int64 // how many tags there were when some were missing
	all          atomic.Bool  // all of them were there
	halt, halted chan struct{}
}

func watchTags(url string, want int) *pollTags {
	w := &pollTags{halt: make(chan struct{}), halted: make(chan struct{})}
	go func() {
		defer close(w.halted)
		for {
			select {
			case <-w.halt:
				return
			default:
			}
			switch n := tags(url); {
			case n < 0: // it was killed
				return
			case n == want:
				w.all.Store(true)
			case n > 0:
				w.partly.Store(int64(n))
			}
		}
	}()
	return w
}

func (w *pollTags) stop() {
	close(w.halt)
	<-w.halted
}

// tags returns how many tags of the bundle a server has; -1 if it does not respond.
func tags(url string) int {
	resp, err := http.Get(url + "/v2/" + carriedRepo + "/tags/list")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return bytes.Count(body, []byte(`"v`))
}

// blobsIn returns the files of blobs in a data folder with their sizes.
func blobsIn(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*/*"))
	must(t, err)
	sizes := map[string]int64{}
	for _, file := range files {
		sizes[filepath.Base(file)] = fileSize(t, file)
	}
	return sizes
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	return info.Size()
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { file.Close() })
	return file
}
