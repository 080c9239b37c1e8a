//go:build unix

package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// limitFiles makes a mirror run with a limit of open files.
func limitFiles(p *exec.Cmd, files int) {
	p.Args = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec mirror "$@"`, files), "sh"}, p.Args[1:]...)
	p.Path, p.Err = exec.LookPath("sh")
}

// TestFewFileDescriptors holds 500 connections of slow clients to a server that may open 256 files. Health checks, commands
// and clients of other networks are served meanwhile.
func TestFewFileDescriptors(t *testing.T) {
	const files, slow = 256, 500
	data := t.TempDir()
	p := spawnWith(t, t.Output(), data, func(cmd *exec.Cmd) { limitFiles(cmd, files) }, "--offline")
	blob := make([]byte, 16<<20) // more than the buffers of a connection hold
	rand.Read(blob)
	d := digest.FromBytes(blob)
	if status := put(http.MethodPost, p.url+"/v2/team/app/blobs/uploads/?digest="+d.String(), "application/octet-stream", string(blob)); status != http.StatusCreated {
		t.Fatalf("the push of the blob was answered with %d", status)
	}
	address := strings.TrimPrefix(p.url, "http://")
	for range slow {
		conn, err := net.Dial("tcp", address)
		must(t, err)
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v2/team/app/blobs/%s HTTP/1.1\r\nHost: mirror\r\n\r\n", d) // closed already, if it was one too many
	}
	other := &http.Client{Timeout: 2 * time.Minute, Transport: &http.Transport{
		DialContext:       (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, 0, 1)}}).DialContext,
		DisableKeepAlives: true,
	}}
	for path, client := range map[string]*http.Client{
		"/healthz": {Timeout: 2 * time.Minute}, "/readyz": {Timeout: 2 * time.Minute}, "/v2/team/app/blobs/" + d.String(): other,
	} {
		resp, err := client.Get(p.url + path)
		if err != nil {
			t.Errorf("GET %s: %v", path, err)
			continue
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s, %d bytes, %v", path, resp.Status, n, err)
		}
	}
	if out, err := exec.Command("mirror", "status", "--data", data).CombinedOutput(); err != nil {
		t.Errorf("mirror status: %v\n%s", err, out)
	}
}
