//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"airmirror/cmd/mirror/testport"
)

// soon is the limit for a response that must not wait for an upstream. It is far above what a response takes on a busy
// machine. The tests configure longer timeouts of the upstream.
const soon = 30 * time.Second

// wantMiss checks that the response for a manifest is the 404 of the specification, and that it comes soon.
func wantMiss(t *testing.T, addr, path string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	began := time.Now()
	response, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body struct{ Errors []struct{ Code string } }
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil {
		t.Errorf("GET %s: not the specification's JSON: %v", path, err)
	}
	took := time.Since(began)
	if response.StatusCode != http.StatusNotFound || len(body.Errors) != 1 || body.Errors[0].Code != "MANIFEST_UNKNOWN" {
		t.Errorf("GET %s: %s %+v, want 404 MANIFEST_UNKNOWN", path, response.Status, body.Errors)
	}
	if took > soon {
		t.Errorf("GET %s took %v, want at most %v", path, took, soon)
	}
}

// wantSoon checks that a manifest is served soon.
func wantSoon(t *testing.T, addr, path string) {
	t.Helper()
	began := time.Now()
	if err := answers("http://" + addr + path); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > soon {
		t.Errorf("GET %s took %v, want at most %v", path, took, soon)
	}
}

const (
	heldPath = "/v2/library/airmirror-hello/manifests/1"
	missPath = "/v2/library/airmirror-never-seen/manifests/1"
)

// filledMirror returns a mirror that holds library/airmirror-hello:1, which came from the upstream; both have ended.
func filledMirror(t *testing.T) (mirror *server, hub *upstream, digest string) {
	t.Helper()
	hub = startUpstream(t)
	mirror = startMirror(t, mirrorOf(hub))
	digest = push(t, helloIndex(t, ociFormat, "hello from the hub"), hub.addr+"/library/airmirror-hello:1").String()
	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)
	mirror.stopCleanly(t)
	hub.stop(t)
	return mirror, hub, digest
}

func TestOfflineServesWhatIsHeldAndMissesAtOnce(t *testing.T) {
	mirror, hub, digest := filledMirror(t)
	mirror = mirror.restarted(t, mirrorOf(hub), "--offline", "--tag-ttl=1ms", "--upstream-timeout=10m")
	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)
	wantSoon(t, mirror.addr, heldPath)
	wantMiss(t, mirror.addr, missPath)
	wantMiss(t, mirror.addr, missPath+"?ns=docker.io")
	wantMiss(t, mirror.addr, missPath+"?ns=registry.example.com")
}

func TestStartsWithoutItsUpstream(t *testing.T) {
	mirror, hub, digest := filledMirror(t)
	mirror = mirror.restarted(t, mirrorOf(hub), "--tag-ttl=1ms") // dials what refuses the connection
	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)
	wantSoon(t, mirror.addr, heldPath)
	wantMiss(t, mirror.addr, missPath)
}

// TestUpstreamThatNeverAnswers: the link that swallows everything is worse than the one that is down, as only patience
// runs out.
func TestUpstreamThatNeverAnswers(t *testing.T) {
	mirror, hub, digest := filledMirror(t)
	silent, err := net.Listen("tcp", hub.addr) // accepts, by its backlog, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()

	mirror = mirror.restarted(t, mirrorOf(hub), "--tag-ttl=1ms", "--upstream-timeout=10m")
	wantSoon(t, mirror.addr, heldPath)
	mirror.stopCleanly(t)
	mirror = mirror.restarted(t, mirrorOf(hub), "--tag-ttl=1ms")
	wantMiss(t, mirror.addr, missPath)
	wantSoon(t, mirror.addr, heldPath)
	wantWhole(t, mirror.addr+"/library/airmirror-hello:1", digest)
}

// TestAPushDoesNotWaitForASilentUpstream: neither do the questions that a client asks first, what the registry has of
// the image already, but for the very first of all, which finds out that the upstream is silent.
func TestAPushDoesNotWaitForASilentUpstream(t *testing.T) {
	silent, err := net.Listen("tcp", testport.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	const miss = 10 * time.Second
	mirror := startMirror(t, "--upstream=docker.io=http://"+silent.Addr().String(), "--upstream-timeout="+miss.String())

	for _, tt := range []struct {
		ref   string
		limit time.Duration
	}{{"/team/app:1", miss + soon}, {"/team/other:1", miss - time.Second}} {
		began := time.Now()
		push(t, helloIndex(t, dockerFormat, "hello from the team"), mirror.addr+tt.ref)
		if took := time.Since(began); took > tt.limit {
			t.Errorf("the push of %s took %v, as if it had waited for the upstream", tt.ref, took)
		}
	}
}

// TestInANetworkWithoutARoute is the whole of it on a machine that can reach nothing at all, not even a name server.
func TestInANetworkWithoutARoute(t *testing.T) {
	filled, hub, digest := filledMirror(t)
	inside := isolatedNetwork(t)
	mirror := startMirrorIn(t, inside, filled.addr, filled.data, mirrorOf(hub), "--offline")
	docker := startDocker(t, mirror.addr, inside...)

	env := environment(t)
	if got := run(t, env, append(inside, craneBin, "digest", mirror.addr+"/library/airmirror-hello:1")...); got != digest+"\n" {
		t.Errorf("crane digest printed %q, want %s", got, digest)
	}
	docker.do(t, "pull", "airmirror-hello:1")
	docker.prints(t, "airmirror-hello:1", "hello from the hub")
	docker.do(t, "tag", "airmirror-hello:1", mirror.addr+"/team/app:1")
	docker.do(t, "push", mirror.addr+"/team/app:1")
	run(t, env, append(inside, craneBin, "validate", "--remote", mirror.addr+"/team/app:1")...)
}
