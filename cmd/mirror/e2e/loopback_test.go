//go:build e2e

package e2e_test

import (
	"io"
	"net"
	"path/filepath"
	"testing"

	"airmirror/cmd/mirror/testport"
)

// TestNoProxyHasTheRightsOfThisMachine: without users, a client on this machine pushes, and nobody by way of a proxy on it
// that passes requests on as they are, whatever account the proxy runs as. To trust them takes a setting.
func TestNoProxyHasTheRightsOfThisMachine(t *testing.T) {
	mirror := startMirrorWith(t, environment(t, "MIRROR_AUTH_LOOPBACK_PUSH=auto"), testport.Address(t), filepath.Join(tempDir(t), "data"), "--offline")
	origin := startMirror(t, "--offline")
	push(t, helloIndex(t, ociFormat, "hello"), origin.addr+"/team/hello:1")
	image := "oci:" + filepath.Join(tempDir(t), "layout") + ":1"
	copyIntact(t, "docker://"+origin.addr+"/team/hello:1", image)
	copyIntact(t, image, "docker://"+mirror.addr+"/by/client:1")

	fronts := map[string]string{
		"nginx with HTTP/1.1":           startNginx(t, mirror.addr, "proxy_http_version 1.1;"),
		"nginx that passes on its host": startNginx(t, mirror.addr, `proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost;`),
		"a TCP proxy":                   startTCPProxy(t, mirror.addr),
	}
	through := func(front string) []string {
		return []string{"skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false", image, "docker://" + front + "/by/proxy:1"}
	}
	for name, front := range fronts {
		t.Run(name, func(t *testing.T) {
			refuses(t, environment(t), "the sender of this request may be a proxy", through(front)...)
		})
	}
	mirror.stopCleanly(t)
	startMirrorWith(t, environment(t, "MIRROR_AUTH_LOOPBACK_PUSH=true"), mirror.addr, mirror.data, "--offline")
	for _, front := range fronts {
		run(t, environment(t), through(front)...)
	}
}

// startTCPProxy passes connections on to an address, byte for byte.
func startTCPProxy(t *testing.T, to string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				_, _ = io.Copy(to, from)
				_ = to.(*net.TCPConn).CloseWrite()
			}
			go pass(server, client)
			go pass(client, server)
		}
	}()
	return listener.Addr().String()
}
