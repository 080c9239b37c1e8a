package test_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// serve starts a mirror that dials nothing, until the test is over, and returns its URL.
func serve(t *testing.T) string {
	t.Helper()
	// Below the ports of outgoing connections, which could take it before the server starts.
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(20000)))
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	cmd := exec.Command(os.Getenv("MIRROR_BIN"), "serve", "--offline", "--listen", addr, "--data", t.TempDir())
	cmd.Env = []string{}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // how it ends is tested elsewhere
	})
	deadline, tick := time.After(2*time.Minute), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if response, err := http.Get("http://" + addr + "/v2/"); err == nil {
			response.Body.Close()
			return "http://" + addr
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the mirror does not answer")
		}
	}
}

// TestProbesAreAnswered: a pod whose probes are not is started again for ever.
func TestProbesAreAnswered(t *testing.T) {
	c := build(t, "base").container()
	url := serve(t)
	for _, probe := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
		response, err := http.Get(url + probe.HTTPGet.Path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s is answered %s", probe.HTTPGet.Path, response.Status)
		}
	}
}
