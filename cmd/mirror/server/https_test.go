package server

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"airmirror/api/certs"
	"airmirror/cmd/mirror/config"
)

// TestPlainHTTPToTLS checks what a client sees that writes http:// in the address of a mirror that serves HTTPS.
func TestPlainHTTPToTLS(t *testing.T) {
	dir := t.TempDir()
	_, err := certs.Make(dir, []string{"127.0.0.1"}, false, time.Hour)
	must(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	secure, err := newTransport(t.Context(), config.TLS{CertFile: filepath.Join(dir, certs.ServerCert), KeyFile: filepath.Join(dir, certs.ServerKey)}, listener, zap.NewNop())
	must(t, err)
	server := newHTTPServer(http.NotFoundHandler(), otherConns, zap.NewNop())
	secure.prepareServer(server)
	go func() { _ = secure.serve(server, listener) }()
	defer server.Close()

	resp, err := http.Get("http://" + listener.Addr().String() + "/v2/")
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	const want = `{"errors":[{"code":"UNSUPPORTED","message":"client sent an HTTP request to an HTTPS server: write https:// instead of `
	if resp.StatusCode != http.StatusBadRequest || resp.Header.Get("Content-Type") != "application/json" || !strings.HasPrefix(string(body), want) {
		t.Errorf("%s, %v\n%s", resp.Status, resp.Header, body)
	}
}
