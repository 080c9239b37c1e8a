//go:build e2e

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airmirror/cmd/mirror/testport"
)

// startNginx starts an nginx that terminates TLS in front of an address, and returns the address that it listens on.
// The directives are those of its location block beside proxy_pass.
func startNginx(t *testing.T, behind, directives string) string {
	t.Helper()
	return serveNginx(t, func(addr, cert, key string) string {
		return fmt.Sprintf(`server {
        listen %s ssl;
        ssl_certificate %s;
        ssl_certificate_key %s;
        client_max_body_size 0;
        location / {
            proxy_pass http://%s;
            %s
        }
    }`, addr, cert, key, behind, directives)
	})
}

// startShippedNginx is startNginx with the file in deploy/, but for the addresses and the certificate in it.
func startShippedNginx(t *testing.T, behind string) string {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/nginx/mirror.conf")
	if err != nil {
		t.Fatal(err)
	}
	return serveNginx(t, func(addr, cert, key string) string {
		shipped := string(text)
		for from, to := range map[string]string{
			"listen 443 ssl": "listen " + addr + " ssl", "server 127.0.0.1:5000;": "server " + behind + ";",
			"/etc/nginx/certs/server.crt": cert, "/etc/nginx/certs/server.key": key,
		} {
			if !strings.Contains(shipped, from) {
				t.Fatalf("deploy/nginx/mirror.conf does not say %q", from)
			}
			shipped = strings.ReplaceAll(shipped, from, to)
		}
		return shipped
	})
}

// serveNginx starts an nginx with these servers, and returns the address that they were to listen on, by TLS.
func serveNginx(t *testing.T, servers func(addr, cert, key string) string) string {
	t.Helper()
	need(t, "nginx")
	dir, addr := tempDir(t), testport.Address(t)
	cert, key := selfSigned(t, dir)
	scratch := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		scratch += fmt.Sprintf("    %s_temp_path %s;\n", kind, filepath.Join(dir, kind))
	}
	config := writeFile(t, dir, "nginx.conf", fmt.Sprintf(`daemon off;
pid %s/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
%s    %s
}
`, dir, scratch, servers(addr, cert, key)))
	// The workers run as the user that started it, root or not: the folder is that user's.
	argv := []string{"nginx", "-e", "stderr", "-c", config, "-g", "user " + userName(t) + ";"}
	p := start(t, environment(t), argv...)
	p.waitUntil(t, func() error {
		connection, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		return connection.Close()
	})
	return addr
}

// selfSigned writes a certificate for loopback, and its key.
func selfSigned(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return writeFile(t, dir, "tls.crt", encode("CERTIFICATE", signed)),
		writeFile(t, dir, "tls.key", encode("PRIVATE KEY", private))
}

// TestPushAndPullThroughNginx: uploads follow the Location headers that the mirror gives, so these must lead back to
// nginx, by https, whether or not nginx says that it is there.
func TestPushAndPullThroughNginx(t *testing.T) {
	for name, startNginx := range map[string]func(t *testing.T, behind string) string{
		"proxy_pass alone": func(t *testing.T, behind string) string { return startNginx(t, behind, "") },
		"the shipped file": startShippedNginx,
	} {
		t.Run(name, func(t *testing.T) {
			mirror := startMirror(t, "--offline")
			front := startNginx(t, mirror.addr)
			digest := push(t, helloIndex(t, ociFormat, "hello over TLS"), mirror.addr+"/team/hello:1").String()

			dir := filepath.Join(tempDir(t), "layout")
			copyIntact(t, "docker://"+front+"/team/hello:1", "oci:"+dir+":1")
			// nginx is on this machine, whoever is behind it is not: to let everybody push takes a setting.
			refuses(t, environment(t), "forwarded by a proxy", "skopeo", "--insecure-policy", "copy", "--all", "--dest-tls-verify=false",
				"oci:"+dir+":1", "docker://"+front+"/by/skopeo:1")
			mirror.stopCleanly(t)
			startMirrorWith(t, environment(t, "MIRROR_AUTH_ANONYMOUS_PUSH=true"), mirror.addr, mirror.data, "--offline")
			copyIntact(t, "oci:"+dir+":1", "docker://"+front+"/by/skopeo:1")
			wantWhole(t, front+"/by/skopeo:1", digest)

			crane(t, "push", "--index", dir, front+"/by/crane:1")
			wantWhole(t, front+"/by/crane:1", crane(t, "digest", mirror.addr+"/by/crane:1"))
		})
	}
}
