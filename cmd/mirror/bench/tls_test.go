//go:build bench

package bench_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const (
	tlsSize    = 64 * mib
	tlsClients = 4
	tlsTimes   = 4 // of each client in a round
	tlsRounds  = 7
)

// BenchmarkTLS gets a stored blob by TLS. nginx serves the same file, with its defaults for TLS and HTTP/2.
func BenchmarkTLS(b *testing.B) {
	if _, err := exec.LookPath("nginx"); err != nil {
		b.Skip(err)
	}
	b.Run("http1", func(b *testing.B) { benchmarkTLS(b, "blob of 64 MiB by TLS, 4 clients", fetchTLS) })
	b.Run("http2", func(b *testing.B) { benchmarkTLS(b, "blob of 64 MiB by HTTP/2, 4 clients", fetchHTTP2) })
}

func benchmarkTLS(b *testing.B, name string, fetch func(addr, path string, layer stream) error) {
	measure(b, func() {
		dir := b.TempDir()
		runQuietly(b, mirrorBin, "cert", "--host", "127.0.0.1", "--dir", dir)
		cert, key := filepath.Join(dir, "server.crt"), filepath.Join(dir, "server.key")
		mirror := startMirror(b, "--offline", "--tls-cert-file", cert, "--tls-key-file", key)
		layer := stream{tlsSize, tlsSize}
		digest := layer.digest()
		c, err := dialTLS(mirror.addr)
		check(b, err)
		defer c.Close()
		check(b, pushLarge(c, layer, digest))
		path, hex := "/v2/library/large/blobs/"+digest, strings.TrimPrefix(digest, "sha256:")
		nginx := startNginx(b, cert, key, path, filepath.Join(mirror.data, "blobs", "sha256", hex[:2], hex))

		get := func(s *server) func(int) float64 {
			return func(int) float64 {
				took := together(b, tlsClients, s.addr, func(int, *conn) error { return fetch(s.addr, path, layer) })
				return tlsSize * tlsClients * tlsTimes / 1e6 / took.Seconds()
			}
		}
		r := alternate(tlsRounds, get(mirror), get(nginx)).row(name, "MB/s", "nginx", atLeast(1))
		r.memory = mirror.memory()
		r.add(b)
	})
}

var anyCertificate = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // the authority was made for this run

func dialTLS(addr string) (*conn, error) {
	c, err := dial(addr)
	if err != nil {
		return nil, err
	}
	c.Conn = tls.Client(c.Conn, anyCertificate)
	c.r.Reset(c.Conn)
	return c, nil
}

// fetchTLS gets a layer several times over one connection.
func fetchTLS(addr, path string, layer stream) error {
	c, err := dialTLS(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	buf := make([]byte, 256<<10)
	for range tlsTimes {
		if _, err := c.fetch(path, layer, buf); err != nil {
			return err
		}
	}
	return nil
}

// fetchHTTP2 is fetchTLS in HTTP/2.
func fetchHTTP2(addr, path string, layer stream) error {
	wire := &http.Transport{TLSClientConfig: anyCertificate.Clone(), ForceAttemptHTTP2: true}
	defer wire.CloseIdleConnections()
	client := &http.Client{Transport: wire}
	buf := make([]byte, 256<<10)
	for range tlsTimes {
		response, err := client.Get("https://" + addr + path)
		if err != nil {
			return err
		}
		err = layer.compare(response.Body, buf)
		response.Body.Close()
		if err == nil && response.ProtoMajor != 2 {
			err = fmt.Errorf("%s answers in %s", addr, response.Proto)
		}
		if err != nil {
			return fmt.Errorf("GET %s: %w", path, err)
		}
	}
	return nil
}

// startNginx starts an nginx that serves one file at a path.
func startNginx(b *testing.B, cert, key, path, file string) *server {
	b.Helper()
	s := newServer(b)
	dir := b.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;"
	}
	text := fmt.Sprintf(`daemon off; worker_processes auto; %s
pid %s/nginx.pid;
error_log stderr;
events {}
http {
    access_log off; sendfile on; tcp_nopush on;
    client_body_temp_path %[2]s; proxy_temp_path %[2]s; fastcgi_temp_path %[2]s; uwsgi_temp_path %[2]s; scgi_temp_path %[2]s;
    server {
        listen %s ssl http2;
        ssl_certificate %s;
        ssl_certificate_key %s;
        ssl_protocols TLSv1.3;
        location = %s { alias %s; }
    }
}
`, user, dir, s.addr, cert, key, path, file)
	check(b, os.WriteFile(config, []byte(text), 0o600))
	s.start(b, nil, "nginx", "-p", dir, "-e", "stderr", "-c", config)
	b.Cleanup(func() { // nginx then ends its workers
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		<-s.done
	})
	return s
}
