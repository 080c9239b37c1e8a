//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// TestSlowClientsDoNotTakeTheMemory of a mirror that has 1 GiB, as deploy/ gives it: 400 who do not read a manifest of
// 4 MB, and 150 whose manifests do not arrive. A client at another address goes on as if they were not there.
func TestSlowClientsDoNotTakeTheMemory(t *testing.T) {
	const readers, writers, most = 400, 150, 256 << 20
	mirror := startMirror(t, "--offline")
	limitMemory(t, mirror.cmd.Process.Pid, 1<<30)
	push(t, helloIndex(t, ociFormat, "hello"), mirror.addr+"/team/app:1")
	large := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"x":"` + strings.Repeat("y", 4_000_000) + `"}}`)
	url := "http://" + mirror.addr + "/v2/team/app/manifests/"
	putManifest(t, http.DefaultClient, url+"large", large)
	peak := watchMemory(mirror.cmd)

	var slow []net.Conn
	for range readers {
		slow = append(slow, send(t, mirror.addr, "GET /v2/team/app/manifests/large HTTP/1.1\r\nHost: x\r\n\r\n", nil))
	}
	for i := range writers {
		slow = append(slow, send(t, mirror.addr, fmt.Sprintf("PUT /v2/team/app/manifests/slow%d HTTP/1.1\r\nHost: x\r\nContent-Type: application/vnd.oci.image.index.v1+json\r\nContent-Length: %d\r\n\r\n", i, len(large)), large[:len(large)-10]))
	}
	honest := &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}}
	response, err := honest.Get(url + "large")
	if err != nil {
		t.Fatalf("%v\n%s", err, mirror.output(t))
	}
	defer response.Body.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(response.Body); err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(got.Bytes(), large) {
		t.Errorf("%s, %d bytes of %d, %v", response.Status, got.Len(), len(large), err)
	}
	ref, err := name.ParseReference(mirror.addr + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Index(ref, remote.WithTransport(honest.Transport)); err != nil {
		t.Error(err)
	}
	putManifest(t, honest, url+"other", large)
	if n := peak(); n == 0 || n > most {
		t.Errorf("the mirror had %d MiB at most, want at most %d", n>>20, most>>20)
	} else {
		t.Logf("the mirror had %d MiB at most", n>>20)
	}
	for _, conn := range slow {
		conn.Close()
	}
	mirror.stopCleanly(t)
}

func putManifest(t *testing.T, client *http.Client, url string, manifest []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, bytes.NewReader(manifest))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("PUT %s: %s", url, response.Status)
	}
}

// send opens a connection that takes next to nothing, and sends what begins a request on it. It stays open to the end of
// the test.
func send(t *testing.T, addr, head string, body []byte) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]byte{[]byte(head), body} {
		if _, err := conn.Write(part); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// limitMemory has a process killed when it takes more memory than so many bytes, as a pod is: by a control group, of
// either version, which only root makes.
func limitMemory(t *testing.T, pid, limit int) {
	t.Helper()
	group, setting := "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		group, setting = "/sys/fs/cgroup", "memory.max"
	}
	group = filepath.Join(group, fmt.Sprintf("mirror-e2e-%d", pid))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Logf("there are no control groups to be made here, nobody kills: %v", err)
		return
	}
	t.Cleanup(func() { os.Remove(group) }) // before the process ends it cannot be removed, but its cleanup came first
	for file, text := range map[string]string{setting: fmt.Sprint(limit), "cgroup.procs": fmt.Sprint(pid)} {
		if err := os.WriteFile(filepath.Join(group, file), []byte(text), 0o644); err != nil {
			t.Logf("there are no control groups to be set here, nobody kills: %v", err)
			return
		}
	}
}
