package main

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// TestInterruptedSync interrupts a sync during a download: in a server, which continues to serve, and in a command without a
// server. The same command completes the sync afterwards.
func TestInterruptedSync(t *testing.T) {
	for name, serving := range map[string]bool{"server": true, "folder": false} {
		t.Run(name, func(t *testing.T) {
			up := newOrigin(t)
			_, d := up.blob("library/app:v1", 1<<20)
			begun, ended, release := make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
			letGo := sync.OnceFunc(func() { close(release) })
			t.Cleanup(letGo)
			up.misbehave(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet && r.URL.Path == blobPath("library/app", d) {
					begun <- struct{}{}
					select {
					case <-release:
					case <-r.Context().Done():
						close(ended)
					}
				}
			})
			dir, upstream := t.TempDir(), "docker.io="+up.URL
			var p *process
			if serving {
				p = spawn(t, dir, "--upstream", upstream)
			}
			var out bytes.Buffer
			command := func() *exec.Cmd {
				cmd := exec.Command("mirror", "sync", "--data", dir, "app:v1")
				if !serving { // a server has its own upstreams
					cmd.Args = append(cmd.Args, "--upstream", upstream)
				}
				out.Reset()
				cmd.Stdout, cmd.Stderr = &out, &out
				must(t, cmd.Start())
				return cmd
			}
			cmd := command()
			<-begun
			must(t, cmd.Process.Signal(os.Interrupt))
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || !strings.Contains(out.String(), "mirror: interrupted: complete blobs are stored") {
				t.Fatalf("exit code %d\n%s", code, &out)
			}
			<-ended // the transfer, too
			if serving {
				resp, err := http.Get(p.url + "/v2/")
				must(t, err)
				resp.Body.Close()
			}
			up.misbehave(nil)
			letGo()
			if err := command().Wait(); err != nil || !strings.Contains(out.String(), "1 complete") {
				t.Fatalf("%v\n%s", err, &out)
			}
		})
	}
}

// TestSyncReportsUncheckedReferrers uses an upstream that serves a new image and fails to list its referrers.
func TestSyncReportsUncheckedReferrers(t *testing.T) {
	up := newOrigin(t)
	up.blob("library/app:v1", 10)
	up.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			http.Error(w, "{}", http.StatusInternalServerError)
		}
	})
	args := []string{"sync", "--data", t.TempDir(), "--upstream", "docker.io=" + up.URL, "--referrers", "app:v1"}
	cmd := exec.Command("mirror", args...)
	out, _ := cmd.CombinedOutput()
	for _, want := range []string{"app:v1: not checked: cannot list the referrers of docker.io/library/app@sha256:", "the stored copy is complete", "or lack referrers"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%s\ndoes not say %q", out, want)
		}
	}
	if code := cmd.ProcessState.ExitCode(); code != exitMissing || strings.Contains(string(out), "missing") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if out, err := exec.Command("mirror", append(args, "--allow-stale")...).CombinedOutput(); err != nil {
		t.Errorf("with --allow-stale: %v\n%s", err, out)
	}
}
