package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"airmirror/api/admin"
	"airmirror/cache"
	"airmirror/gc"
)

// ask runs a command on the mirror of a folder and returns its output and exit code.
func ask(t *testing.T, dir string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.Command("mirror", append(args, "--data", dir)...)
	var stdout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, t.Output()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

// collected runs a collection and returns its plan and, unless it is a dry run, its result.
func collected(t *testing.T, dir string, args ...string) (plan gc.Plan, result gc.Result) {
	t.Helper()
	out, code := ask(t, dir, append([]string{"gc", "--json"}, args...)...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for line := range strings.Lines(out) {
		var e admin.Event
		must(t, json.Unmarshal([]byte(line), &e))
		switch e.Kind {
		case admin.KindPlan:
			must(t, e.Decode(&plan))
		case admin.KindSummary:
			must(t, e.Decode(&result))
		}
	}
	return plan, result
}

// disk returns the total size of the files of blobs.
func disk(t *testing.T, dir string) (size int64) {
	t.Helper()
	must(t, filepath.WalkDir(filepath.Join(dir, "blobs"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	}))
	return size
}

// nothingIsWrong fails the test for each defect in a folder.
func nothingIsWrong(t *testing.T, dir string) {
	t.Helper()
	if out, code := ask(t, dir, "verify"); code != 0 {
		t.Errorf("verify: exit code %d\n%s", code, out)
	}
}

// sized returns an image with two layers, one of them shared.
func sized(t *testing.T, base v1.Layer, size int64) v1.Image {
	t.Helper()
	img, err := random.Image(size, 1)
	must(t, err)
	img, err = mutate.AppendLayers(img, base)
	must(t, err)
	return img
}

// TestCollectionFreesReplacedVersion deletes the older of two images under one tag while a server runs. Exactly the bytes of that
// image are freed.
func TestCollectionFreesReplacedVersion(t *testing.T) {
	dir := t.TempDir()
	p := spawn(t, dir, "--offline")
	base, err := random.Layer(300_000, "application/vnd.oci.image.layer.v1.tar+gzip")
	must(t, err)
	first, second := sized(t, base, 100_000), sized(t, base, 200_000)
	push(t, p.url, "team/app:latest", first)
	push(t, p.url, "team/app:latest", second)
	req, err := http.NewRequest(http.MethodDelete, p.url+"/v2/team/app/manifests/"+hash(t, first), nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	resp.Body.Close()

	if plan, _ := collected(t, dir, "--dry-run"); plan.Totals.Bytes != 0 {
		t.Errorf("within the grace time: %+v", plan.Totals)
	}
	before := disk(t, dir)
	plan, _ := collected(t, dir, "--dry-run", "--grace", "0s")
	if disk(t, dir) != before || plan.Totals.Blobs != 3 {
		t.Errorf("planned %+v; %d bytes of %d are left", plan.Totals, disk(t, dir), before)
	}
	_, run := collected(t, dir, "--grace", "0s")
	if freed := before - disk(t, dir); freed != run.Bytes || freed != plan.Totals.Bytes || freed < 100_000 {
		t.Errorf("%d bytes are gone, result %+v, planned %+v", freed, run.Totals, plan.Totals)
	}
	got, err := remote.Image(reference(t, p.url, "team/app:latest"))
	must(t, err)
	same(t, got, second)
	nothingIsWrong(t, dir)
}

// TestCollectionSurvivesKill kills the server during several collections. All kept content is intact, and the next collection
// deletes the rest.
func TestCollectionSurvivesKill(t *testing.T) {
	const rounds, images = 3, 100
	dir := t.TempDir()
	stays := map[string]v1.Image{}
	for round := range rounds {
		p := spawn(t, dir, "--offline")
		keep := mustImage(t)
		push(t, p.url, fmt.Sprintf("team/keep:r%d", round), keep)
		stays[fmt.Sprintf("team/keep:r%d", round)] = keep
		fill(t, p.url, round, images)
		if out, code := ask(t, dir, "rm", "team/go*:*"); code != 0 {
			t.Fatalf("rm: exit code %d\n%s", code, out)
		}
		cmd := exec.Command("mirror", "gc", "--grace", "0s", "--json", "--data", dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for seen := 0; seen <= round*130 && lines.Scan(); { // a moment that is another one each time
			if bytes.Contains(lines.Bytes(), []byte(`"kind":"deleted"`)) {
				seen++
			}
		}
		p.kill()
		_, _ = io.Copy(io.Discard, out) // a full pipe would block the command
		_ = cmd.Wait()                  // with any exit code

		p = spawn(t, dir, "--offline")
		plan, _ := collected(t, dir, "--dry-run", "--grace", "0s")
		t.Logf("round %d: %+v are left", round, plan.Totals)
		before := disk(t, dir)
		_, run := collected(t, dir, "--grace", "0s")
		if freed := before - disk(t, dir); freed != run.Bytes || freed != plan.Totals.Bytes {
			t.Errorf("%d bytes are gone, result %+v, planned %+v", freed, run.Totals, plan.Totals)
		}
		if plan, _ := collected(t, dir, "--dry-run", "--grace", "0s"); plan.Totals.Bytes != 0 {
			t.Errorf("after a clean run: %+v", plan.Totals)
		}
		for ref, want := range stays {
			got, err := remote.Image(reference(t, p.url, ref))
			must(t, err)
			same(t, got, want)
		}
		nothingIsWrong(t, dir)
		p.kill()
	}
}

// fill pushes small images with a tag each.
func fill(t *testing.T, url string, round, images int) {
	t.Helper()
	const pushers = 8
	var wg sync.WaitGroup
	for n := range pushers {
		wg.Go(func() {
			for i := n; i < images; i += pushers {
				img, err := random.Image(500, 2)
				if err == nil {
					err = remote.Write(reference(t, url, fmt.Sprintf("team/go%d:r%d-%d", n, round, i)), img)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestCollectionStopsOnSIGTERM checks that a stopping server interrupts a collection, and that the command reports it.
func TestCollectionStopsOnSIGTERM(t *testing.T) {
	dir := t.TempDir()
	p := spawn(t, dir, "--offline")
	fill(t, p.url, 0, 200)
	if out, code := ask(t, dir, "rm", "team/go*:*"); code != 0 {
		t.Fatalf("rm: exit code %d\n%s", code, out)
	}
	cmd := exec.Command("mirror", "gc", "--grace", "0s", "--json", "--data", dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && !bytes.Contains(lines.Bytes(), []byte(`"kind":"deleted"`)) {
	}
	began := time.Now()
	must(t, p.Process.Signal(syscall.SIGTERM))
	for lines.Scan() { // it ends when the server has ended with it
	}
	_ = cmd.Wait()
	must(t, p.Wait())
	if took := time.Since(began); took > time.Minute {
		t.Errorf("to stop took %s", took)
	}
	collected(t, dir, "--grace", "0s")
	if size := disk(t, dir); size != 0 {
		t.Errorf("%d bytes are left", size)
	}
	nothingIsWrong(t, dir)
}

// TestCollectionUnderLoad pushes, pulls, mounts and removes images during collections without a grace period. A push can
// fail because a layer that it relied on was deleted, and is repeated. Acknowledged content is complete.
func TestCollectionUnderLoad(t *testing.T) {
	const clients, each = 4, 12
	dir := t.TempDir()
	p := spawn(t, dir, "--offline")
	base, err := random.Layer(50_000, "application/vnd.oci.image.layer.v1.tar+gzip")
	must(t, err)
	var busy atomic.Int32
	busy.Store(clients)
	var wg sync.WaitGroup
	var mu sync.Mutex
	stays := map[string]v1.Image{}
	for n := range clients {
		wg.Go(func() {
			defer busy.Add(-1)
			for i := range each {
				img := sized(t, base, 20_000)
				ref := fmt.Sprintf("team/app%d:v%d", n%2, n*each+i)
				for tries := 0; remote.Write(reference(t, p.url, ref), img) != nil; tries++ {
					if tries == 100 {
						t.Errorf("%s could not be pushed", ref)
						return
					}
				}
				got, err := remote.Image(reference(t, p.url, ref))
				if err == nil {
					err = drain(got)
				}
				if err != nil {
					t.Errorf("%s was acknowledged and cannot be pulled: %v", ref, err)
				}
				if i%3 == 0 {
					if out, code := ask(t, dir, "rm", ref); code != 0 {
						t.Errorf("rm: exit code %d\n%s", code, out)
					}
					continue
				}
				mu.Lock()
				stays[ref] = img
				mu.Unlock()
			}
		})
	}
	runs, freed := 0, int64(0)
	for busy.Load() > 0 {
		_, run := collected(t, dir, "--grace", "0s", "--delete-untagged")
		runs, freed = runs+1, freed+run.Bytes
	}
	wg.Wait()
	t.Logf("%d collections freed %d bytes", runs, freed)
	for ref, want := range stays {
		got, err := remote.Image(reference(t, p.url, ref))
		must(t, err)
		same(t, got, want)
	}
	collected(t, dir, "--grace", "0s", "--delete-untagged")
	nothingIsWrong(t, dir)
}

// TestBackupDuringPushesIsConsistent restores an index from a backup that was written under load.
func TestBackupDuringPushesIsConsistent(t *testing.T) {
	dir := t.TempDir()
	p := spawn(t, dir, "--offline")
	keep := mustImage(t)
	push(t, p.url, "team/keep:1", keep)
	done := make(chan struct{})
	go func() {
		defer close(done)
		fill(t, p.url, 0, 60)
	}()
	backup := filepath.Join(t.TempDir(), "index.backup")
	for more := true; more; {
		select {
		case <-done:
			more = false
		default:
		}
		if out, code := ask(t, dir, "backup", "--overwrite", backup); code != 0 {
			t.Fatalf("backup: exit code %d\n%s", code, out)
		}
	}
	p.kill()
	must(t, os.Remove(filepath.Join(dir, cache.IndexName)))
	if out, code := ask(t, dir, "verify", "--rebuild", "--backup", backup); code != 0 {
		t.Errorf("rebuild: exit code %d\n%s", code, out)
	}
	p = spawn(t, dir, "--offline")
	got, err := remote.Image(reference(t, p.url, "team/keep:1"))
	must(t, err)
	same(t, got, keep)
	checkWhole(t, p.url)
	nothingIsWrong(t, dir)
}
